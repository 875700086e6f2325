import TallyBasics

/// Parses a command line like Go's `flag` package: `-x=v`, `--x=v`, `-x v` or `--x v`, and `-x` or
/// `-x=v` for a boolean. The flags end at the first argument that is not a flag, and after `--`.
package struct FlagSet<Options: Sendable>: Sendable {
    private let name: String
    let options: [FlagOption<Options>]
    private let otherNames: [String]

    /// Creates a parser.
    ///
    /// - Parameters:
    ///   - name: the name of the original program, for the help.
    ///   - options: the options with flags.
    ///   - otherNames: further names that are suggested for an unknown flag, without dashes.
    package init(name: String, options: [FlagOption<Options>], otherNames: [String] = []) {
        self.name = name
        self.options = options
        self.otherNames = otherNames
    }

    /// The result of parsing.
    package struct Parsed: Sendable {
        /// The options.
        package var values: Options
        /// The names of the flags on the command line.
        package var given: Set<String> = []
        /// The arguments after the flags.
        package var rest: ArraySlice<String>
    }

    /// Parses a command line.
    ///
    /// - Parameter defaults: the values of flags that are not on the command line.
    package func parse(
        _ arguments: [String], over defaults: Options
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
        Suggestion.nearest(to: name, in: options.map(\.flag) + otherNames)
            .map { "did you mean --\($0)?" }
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
        of option: FlagOption<Options>, _ arguments: inout ArraySlice<String>
    ) throws(FlagError) -> String {
        if option.isBoolean { return "true" }
        guard let value = arguments.popFirst() else {
            throw .invalid("flag needs an argument: -\(option.flag)")
        }
        return value
    }
}

/// The reason why parsing ended without a result.
package enum FlagError: Error, Equatable {
    /// The command line contains `-h` or `--help`.
    case helpRequested
    /// The command line is malformed.
    ///
    /// - Parameters:
    ///   - text: the message of Go's flag package.
    ///   - remedy: a proposal; `nil` if there is none.
    case invalid(_ text: String, remedy: String? = nil)
}

// MARK: - Help

extension FlagSet {
    /// Returns the list of all flags in Go's format: first the flags of the original program, then
    /// the additional flags.
    package func usage(_ defaults: Options) -> String {
        func list(_ options: [FlagOption<Options>]) -> String {
            options.map { "\(Self.entry($0, defaults))\n" }.joined()
        }
        let own = options.filter(\.isOwn)
        let text = "Usage of \(name):\n\(list(options.filter { !$0.isOwn }))"
        return own.isEmpty ? text : "\(text)\nBeyond \(name) 1.3.0:\n\(list(own))"
    }

    private static func entry(_ option: FlagOption<Options>, _ defaults: Options) -> String {
        let kind = option.typeName.isEmpty ? "" : " \(option.typeName)"
        let shown = option.helpText(in: defaults).map { " (default \($0))" } ?? ""
        return "  -\(option.flag)\(kind)\n    \t\(option.usage)\(shown)"
    }
}
