import ArgumentParser
import GoFlags
import NSQBroker

/// The configuration file of `tally serve` or `tally process`. It contains the command's options in
/// TOML, such as `max_in_flight = 100`.
///
/// The values become arguments in front of those of the command line, so that the same code checks
/// both. Keys for the broker of `tally serve` are only checked here; ``FlagSet/Parsed/apply(_:)``
/// applies them.
struct CommandConfigFile {
    private let file: ConfigFile
    /// The arguments for the values of the file, with the name of their option and the key in the
    /// file.
    private var entries: [(name: String, key: String, arguments: [String])] = []

    /// The options that a file cannot set.
    private static let excluded: Set = ["config", "help", "version"]

    /// Reads the configuration file that the command line names; `nil` if it names none.
    ///
    /// - Parameters:
    ///   - words: the arguments of the command.
    ///   - brokerOptions: the options of the command's broker.
    /// - Throws: `SetupError` if the file cannot be read, is not valid TOML, or has an unknown key or
    ///   a value of the wrong type.
    init?(
        for command: any ParsableCommand.Type, words: [String], brokerOptions: [ServerOption]
    ) throws {
        guard let path = Self.path(in: words) else { return nil }
        file = try ConfigFile(path: path)
        let given = Self.names(in: words)
        let options = CommandOption.all(of: command).filter {
            $0.name.map { !Self.excluded.contains($0) } ?? false
        }
        var used: Set<String> = []
        for (key, value) in file.values.sorted(by: { $0.key < $1.key }) {
            let name = Self.name(of: key)
            guard used.insert(name).inserted else { throw file.error(key, "duplicate key") }
            if let option = options.first(where: { $0.name == name }) {
                let arguments = try arguments(for: option, name, key, value)
                if !given.contains(name) { entries.append((name, key, arguments)) }
            } else if !brokerOptions.contains(where: { $0.isNamed(name) }) {
                let names = options.compactMap(\.name) + brokerOptions.flatMap(\.names)
                throw file.unknownKey(key, among: names)
            }
        }
    }

    /// The arguments for the values of the file, except for the options on the command line.
    var arguments: [String] { entries.flatMap(\.arguments) }

    /// Adds the file and the key to an error message of the parser; `nil` if the message is not
    /// about an argument from this file.
    func located(_ message: String) -> SetupError? {
        let names = message.matches(of: #/--([a-z0-9-]+)/#).map { String($0.1) }
        guard let first = names.first, let entry = entries.first(where: { $0.name == first })
        else { return nil }
        return file.error(entry.key, message)
    }

    /// Returns the name of the option for a key. In keys, `_` and `-` are equivalent.
    static func name(of key: String) -> String { String(key.map { $0 == "_" ? "-" : $0 }) }

    // MARK: Values

    private func arguments(
        for option: CommandOption, _ name: String, _ key: String, _ value: ConfigValue
    ) throws(SetupError) -> [String] {
        if option.isFlag {
            guard case .boolean(let isSet) = value else {
                throw file.error(key, "not true or false")
            }
            return isSet ? ["--\(name)"] : []
        }
        if option.isRepeating {
            guard case .list(let values) = value else { throw file.error(key, "not an array") }
            var arguments: [String] = []
            for value in values { arguments.append(try argument(option, name, key, value)) }
            return arguments
        }
        return [try argument(option, name, key, value)]
    }

    private func argument(
        _ option: CommandOption, _ name: String, _ key: String, _ value: ConfigValue
    ) throws(SetupError) -> String {
        switch value {
        case .text(let text) where !option.takesNumber: return "--\(name)=\(text)"
        case .integer(let number) where option.takesNumber: return "--\(name)=\(number)"
        default: throw file.error(key, option.takesNumber ? "not an integer" : "not a text")
        }
    }

    // MARK: The command line

    /// The arguments that are options.
    private static func flags(in words: [String]) -> some Sequence<String> {
        words.prefix { $0 != "--" }.filter { $0.hasPrefix("-") }
    }

    private static func names(in words: [String]) -> Set<String> {
        Set(flags(in: words).map { String($0.drop { $0 == "-" }.prefix { $0 != "=" }) })
    }

    private static func path(in words: [String]) -> String? {
        var path: String?
        for (index, word) in words.prefix(while: { $0 != "--" }).enumerated()
        where word.hasPrefix("-") {
            let flag = word.drop { $0 == "-" }
            if flag.hasPrefix("config=") {
                path = String(flag.dropFirst("config=".count))
            } else if flag == "config", words.indices.contains(index + 1) {
                path = words[index + 1]
            }
        }
        return path
    }
}

extension ServerOption {
    /// The names in a configuration file of `tally serve`: the flag and nsqd's key.
    fileprivate var names: [String] {
        key.map { [flag, CommandConfigFile.name(of: $0)] } ?? []
    }

    fileprivate func isNamed(_ name: String) -> Bool { names.contains(name) }
}

extension FlagSet<ServerOptions>.Parsed {
    /// Applies the keys for the broker in a configuration file of `tally serve`. Options that flags
    /// have set do not change.
    ///
    /// - Throws: `SetupError` if the file cannot be read or has an invalid value.
    mutating func apply(_ file: ConfigFile) throws(SetupError) {
        let entries = file.values.sorted { $0.key < $1.key }
        for option in ServerOption.all where !given.contains(option.flag) {
            for (key, value) in entries where option.isNamed(CommandConfigFile.name(of: key)) {
                try file.set(option, of: &values, key, to: value)
                given.insert(option.flag)
            }
        }
    }
}
