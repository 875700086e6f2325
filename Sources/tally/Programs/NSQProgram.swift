import ArgumentParser
import GoFlags

/// One of NSQ's programs, such as nsqd. Its command line has flags in Go's syntax. It is run by
/// `tally NAME`, or by a copy of the binary with this name.
///
/// `Tally.main` passes the unparsed arguments to ``status(of:name:)``. The type is a
/// `ParsableCommand` only to appear in the list of subcommands in `tally --help`.
protocol NSQProgram: ParsableCommand {
    associatedtype Values: Sendable

    /// The flags that the program accepts.
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

extension NSQProgram {
    /// The name of the program in NSQ.
    static var programName: String { configuration.commandName! }

    /// The flags with their defaults, for the manual and the completion scripts.
    static var flagDescriptions: [FlagDescription] { flags.descriptions(defaults) }

    /// Parses the command line, and runs the program.
    ///
    /// - Parameter name: the command by which the user started the program.
    /// - Returns: the exit status of NSQ's program: 2 for an invalid command line.
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
            // NSQ's programs print their whole usage here, which would scroll the error out of
            // sight.
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

/// All programs of NSQ that this binary contains.
enum NSQPrograms {
    static let all: [any NSQProgram.Type] = [
        NSQDCommand.self, NSQLookupdCommand.self, NSQAdminCommand.self, NSQTailCommand.self,
        ToNSQCommand.self, NSQStatCommand.self, NSQToFileCommand.self, NSQToNSQCommand.self,
        NSQToHTTPCommand.self,
    ]

    /// A program and its arguments.
    struct Call {
        var program: any NSQProgram.Type
        var arguments: [String]
        /// The command by which the user started the program.
        var name: String
    }

    /// Returns the program that a command line selects: by the name of the binary, by the first
    /// argument, or by `help` and the name of the program.
    ///
    /// - Returns: `nil` if the command line selects another command.
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

    private static func named(_ name: String) -> (any NSQProgram.Type)? {
        all.first { $0.programName == name }
    }
}
