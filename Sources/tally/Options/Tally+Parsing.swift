import ArgumentParser
import GoFlags
import NSQBroker
import TallyBasics

extension Tally {
    /// Parses a command line. Not used for NSQ's programs such as `tally nsqd`, which have Go's
    /// syntax.
    ///
    /// - Parameter words: the arguments after the name of the program.
    static func parsed(_ words: [String]) throws -> any ParsableCommand {
        try refuseSingleDashes(words)
        guard let command = command(of: words),
            let file = try configFile(of: command, Array(words.dropFirst()))
        else { return try parseAsRoot(words) }
        do {
            return try parseAsRoot(words.prefix(1) + file.arguments + words.dropFirst())
        } catch {
            guard exitCode(for: error) != .success, let located = file.located(message(for: error))
            else { throw error }
            throw located
        }
    }

    /// Reads the configuration file of a command; `nil` if the command line names none.
    private static func configFile(
        of command: any ParsableCommand.Type, _ words: [String]
    ) throws -> CommandConfigFile? {
        if command == ServeCommand.self {
            return try CommandConfigFile(
                for: command, words: words, brokerOptions: ServerOption.all)
        }
        guard command == ProcessCommand.self else { return nil }
        return try CommandConfigFile(for: command, words: words, brokerOptions: [])
    }

    /// Refuses flags in the form of NSQ's programs, `-flag=value`, and suggests the right form.
    /// ArgumentParser would read them as several short options.
    private static func refuseSingleDashes(_ words: [String]) throws {
        // Commands that accept the broker's flags are not checked, because these flags are in Go's
        // syntax.
        guard let command = command(of: words), !acceptsBrokerFlags(command) else { return }
        for word in words.prefix(while: { $0 != "--" }) {
            let name = word.dropFirst().prefix { $0 != "=" }
            guard word.first == "-", name.first?.isLetter == true, name.count > 1 else { continue }
            let names = CommandOption.all(of: command).compactMap(\.name)
            let remedy = Suggestion.nearest(to: String(name), in: names)
                .map { " (did you mean --\($0)?)" }
            throw ValidationError("unknown option '-\(name)'" + (remedy ?? ""))
        }
    }

    private static func command(of words: [String]) -> (any ParsableCommand.Type)? {
        configuration.subcommands.first { $0.configuration.commandName == words.first }
    }

    private static func acceptsBrokerFlags(_ command: any ParsableCommand.Type) -> Bool {
        command == ServeCommand.self || command == BenchCommand.self
    }
}
