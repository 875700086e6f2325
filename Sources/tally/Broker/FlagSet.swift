import ArgumentParser
import NSQBroker

/// Parses a command line like Go's `flag` package: `-x=v`, `--x=v`, `-x v` or `--x v`, and `-x` or
/// `-x=v` for a boolean. The flags end at the first argument that is not a flag, and after `--`.
struct FlagSet {
    var name: String
    var options = ServerOption.all
    /// The command with the flags, whose own options are suggested for unknown names.
    var command: (any ParsableCommand.Type)?

    /// The result of parsing.
    struct Parsed {
        var values: ServerOptions
        /// The names of the flags on the command line.
        var given: Set<String> = []
        /// The arguments after the flags, which nsqd ignores.
        var rest: ArraySlice<String>
    }

    /// - Parameter defaults: the values of flags that are not on the command line.
    func parse(
        _ arguments: [String], over defaults: ServerOptions
    ) throws(FlagError) -> Parsed {
        var parsed = Parsed(values: defaults, rest: arguments[...])
        while let flag = try Self.next(in: &parsed.rest) {
            guard let option = options.first(where: { $0.flag == flag.name }) else {
                if flag.name == "h" || flag.name == "help" { throw .helpRequested }
                throw .invalid(
                    "flag provided but not defined: -\(flag.name)",
                    remedy: suggestion(for: flag.name))
            }
            let value =
                if let value = flag.value { value } else {
                    try Self.value(of: option, &parsed.rest)
                }
            do throws(BadValue) {
                try option.set(&parsed.values, to: value)
            } catch {
                throw .invalid(
                    option.isBoolean
                        ? "invalid boolean value \"\(value)\" for -\(flag.name): \(error)"
                        : "invalid value \"\(value)\" for flag -\(flag.name): \(error)",
                    remedy: error.remedy)
            }
            parsed.given.insert(flag.name)
        }
        return parsed
    }

    private func suggestion(for name: String) -> String? {
        let own = command.map(CommandOption.all)?.compactMap(\.name) ?? []
        let names = options.map(\.flag) + own
        return Suggestion.nearest(to: name, in: names).map { "did you mean --\($0)?" }
    }

    private static func next(
        in arguments: inout ArraySlice<String>
    ) throws(FlagError) -> (name: String, value: String?)? {
        guard let word = arguments.first, word.count > 1, word.hasPrefix("-") else { return nil }
        arguments.removeFirst()
        guard word != "--" else { return nil }
        let flag = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
        guard let first = flag.first, first != "-", first != "=" else {
            throw .invalid("bad flag syntax: \(word)")
        }
        guard let sign = flag.firstIndex(of: "=") else { return (String(flag), nil) }
        return (String(flag[..<sign]), String(flag[flag.index(after: sign)...]))
    }

    private static func value(
        of option: ServerOption, _ arguments: inout ArraySlice<String>
    ) throws(FlagError) -> String {
        if option.isBoolean { return "true" }
        guard let value = arguments.popFirst() else {
            throw .invalid("flag needs an argument: -\(option.flag)")
        }
        return value
    }
}

/// The reason why parsing ended without a result.
enum FlagError: Error, Equatable {
    case helpRequested
    /// - Parameters:
    ///   - text: the message of Go's flag package.
    ///   - remedy: a proposal; `nil` if there is none.
    case invalid(_ text: String, remedy: String? = nil)
}

// MARK: - Help

extension FlagSet {
    /// Returns the list of all flags in Go's format: first the flags of nsqd, then the additional
    /// flags of tally.
    func usage(_ defaults: ServerOptions) -> String {
        func list(_ options: [ServerOption]) -> String {
            options.map { "\(Self.entry($0, defaults))\n" }.joined()
        }
        return """
            Usage of \(name):
            \(list(options.filter { !$0.isOwn }))
            Beyond nsqd 1.3.0:
            \(list(options.filter { $0.isOwn }))
            """
    }

    private static func entry(_ option: ServerOption, _ defaults: ServerOptions) -> String {
        let kind = option.typeName.isEmpty ? "" : " \(option.typeName)"
        let shown = option.helpText(in: defaults).map { " (default \($0))" } ?? ""
        return "  -\(option.flag)\(kind)\n    \t\(option.usage)\(shown)"
    }
}

// MARK: - In other commands

extension FlagSet {
    /// Parses the broker flags on the command line of `tally bench` or `tally serve`, and throws
    /// errors in the form of that command.
    func parse(
        _ arguments: [String], over defaults: ServerOptions, of command: some ParsableCommand
    ) throws -> Parsed {
        do throws(FlagError) {
            let parsed = try parse(arguments, over: defaults)
            guard let word = parsed.rest.first else { return parsed }
            throw .invalid("unexpected argument '\(word)'")
        } catch {
            guard case .invalid(let text, let remedy) = error else {
                throw CleanExit.helpRequest(command)
            }
            throw ValidationError(text + (remedy.map { " (\($0))" } ?? ""))
        }
    }
}
