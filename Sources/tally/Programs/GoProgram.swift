import ArgumentParser
import GoFlags

/// A program of NSQ, whose command line has flags in Go's syntax. `tally NAME` runs it, and so does a
/// binary with its name.
///
/// `Tally.main` passes the arguments to ``status(of:name:)`` unparsed. As a `ParsableCommand`, the type
/// only appears in the list of subcommands in `tally --help`.
protocol GoProgram: ParsableCommand {
    associatedtype Values: Sendable

    /// The flags.
    static var flags: FlagSet<Values> { get }
    /// The values of flags that are not on the command line.
    static var defaults: Values { get }
    /// The examples of the help and the manual: one session of a POSIX shell.
    static var exampleLines: [String] { get }
    /// The line that `--version` prints; `nil` if the flag is not set.
    static func version(_ values: Values) -> String?
    /// Runs the program.
    ///
    /// - Returns: the exit status.
    static func run(_ parsed: FlagSet<Values>.Parsed) async -> Int32
}

extension GoProgram {
    /// The name of the original program.
    static var programName: String { configuration.commandName! }

    /// The flags with their defaults, for the manual and the completion scripts.
    static var flagDescriptions: [FlagDescription] { flags.descriptions(defaults) }

    /// Parses the command line and runs the program.
    ///
    /// - Parameter name: the command by which the user started the program.
    /// - Returns: the exit status of the original: 2 for an invalid command line.
    static func status(of arguments: [String], name: String) async -> Int32 {
        let defaults = defaults
        let parsed: FlagSet<Values>.Parsed
        do throws(FlagError) {
            parsed = try flags.parse(arguments, over: defaults)
        } catch {
            guard case .invalid(let text, let remedy) = error else {
                let examples = exampleLines.map { "  \($0)" }.joined(separator: "\n")
                StandardError.print(flags.usage(defaults) + "\n\nEXAMPLES\n" + examples)
                return 0
            }
            // The original prints its whole usage here, above which the error would not be visible.
            StandardError.print(text + (remedy.map { " (\($0))" } ?? ""))
            StandardError.print("See '\(name) --help'.")
            return 2
        }
        if let version = version(parsed.values) {
            print(version)
            return 0
        }
        return await run(parsed)
    }
}

/// The programs of NSQ that the binary contains.
enum GoPrograms {
    static let all: [any GoProgram.Type] = [
        NSQDCommand.self, NSQLookupdCommand.self, NSQTailCommand.self, ToNSQCommand.self,
        NSQStatCommand.self, NSQToFileCommand.self,
    ]

    /// A program and its arguments.
    struct Call {
        var program: any GoProgram.Type
        var arguments: [String]
        /// The command by which the user started the program.
        var name: String
    }

    /// Returns the program that a command line selects: by the name of the binary, by the first
    /// argument, or by `help` and its name.
    ///
    /// - Returns: `nil` for a command with another syntax.
    static func call(_ words: [String]) -> Call? {
        let arguments = Array(words.dropFirst())
        let binary = words.first?.split(separator: "/").last.map(String.init)
        if let binary, let program = named(binary) {
            return Call(program: program, arguments: arguments, name: binary)
        }
        let isHelp = arguments.first == "help" && arguments.count == 2
        guard let name = isHelp ? arguments.last : arguments.first, let program = named(name) else {
            return nil
        }
        return Call(
            program: program, arguments: isHelp ? ["--help"] : Array(arguments.dropFirst()),
            name: "tally \(name)")
    }

    private static func named(_ name: String) -> (any GoProgram.Type)? {
        all.first { $0.programName == name }
    }
}
