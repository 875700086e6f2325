import ArgumentParser
import NSQBroker

/// A command line as Go's programs read it: `-x=v`, `--x=v`, `-x v`, `--x v`; a boolean is `-x`, or
/// `-x=v`. The first word that is no flag ends it, and so does `--`.
struct FlagSet {
    var name: String
    var options = ServerOption.all

    /// What a command line says.
    struct Parsed {
        var values: ServerOptions
        /// The flags that it names.
        var given: Set<String> = []
        /// What stands behind the flags. nsqd takes no notice of it.
        var rest: ArraySlice<String>
    }

    /// - Parameter defaults: what holds where the command line says nothing.
    func parse(
        _ arguments: [String], over defaults: ServerOptions
    ) throws(FlagError) -> Parsed {
        var parsed = Parsed(values: defaults, rest: arguments[...])
        while let flag = try Self.next(in: &parsed.rest) {
            guard let option = options.first(where: { $0.flag == flag.name }) else {
                if flag.name == "h" || flag.name == "help" { throw .helpWanted }
                throw .mistake("flag provided but not defined: -\(flag.name)")
            }
            let value =
                if let value = flag.value { value } else {
                    try Self.value(of: option, &parsed.rest)
                }
            do throws(BadValue) {
                try option.set(&parsed.values, to: value)
            } catch {
                throw .mistake(
                    option.isBoolean
                        ? "invalid boolean value \"\(value)\" for -\(flag.name): \(error)"
                        : "invalid value \"\(value)\" for flag -\(flag.name): \(error)")
            }
            parsed.given.insert(flag.name)
        }
        return parsed
    }

    private static func next(
        in arguments: inout ArraySlice<String>
    ) throws(FlagError) -> (name: String, value: String?)? {
        guard let word = arguments.first, word.count > 1, word.hasPrefix("-") else { return nil }
        arguments.removeFirst()
        guard word != "--" else { return nil }
        let flag = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
        guard let first = flag.first, first != "-", first != "=" else {
            throw .mistake("bad flag syntax: \(word)")
        }
        guard let sign = flag.firstIndex(of: "=") else { return (String(flag), nil) }
        return (String(flag[..<sign]), String(flag[flag.index(after: sign)...]))
    }

    private static func value(
        of option: ServerOption, _ arguments: inout ArraySlice<String>
    ) throws(FlagError) -> String {
        if option.isBoolean { return "true" }
        guard let value = arguments.popFirst() else {
            throw .mistake("flag needs an argument: -\(option.flag)")
        }
        return value
    }
}

/// Why a command line cannot be followed.
enum FlagError: Error, Equatable {
    case helpWanted
    case mistake(String)
}

// MARK: - The help

extension FlagSet {
    /// All flags, as Go's programs list them: nsqd's, then ours.
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
        let shown = option.shown(in: defaults).map { " (default \($0))" } ?? ""
        return "  -\(option.flag)\(kind)\n    \t\(option.usage)\(shown)"
    }
}

// MARK: - Beside other flags

extension FlagSet {
    /// The flags of a broker among those of another command, which says what is wrong with them as
    /// it does of its own.
    func parse(
        _ arguments: [String], over defaults: ServerOptions, of command: some ParsableCommand
    ) throws -> Parsed {
        do throws(FlagError) {
            let parsed = try parse(arguments, over: defaults)
            guard let word = parsed.rest.first else { return parsed }
            throw .mistake("there is no use for \(word)")
        } catch {
            guard case .mistake(let text) = error else { throw CleanExit.helpRequest(command) }
            throw ValidationError(text)
        }
    }
}
