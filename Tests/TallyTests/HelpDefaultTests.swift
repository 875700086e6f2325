import ArgumentParser
import Testing

@testable import tally

@Suite struct `The help of a command` {
    private static func commands(below command: any ParsableCommand.Type)
        -> [any ParsableCommand.Type]
    {
        [command] + command.configuration.subcommands.flatMap(commands)
    }

    @Test func `shows as default one of the values of an option`() {
        var count = 0
        for command in Self.commands(below: Tally.self) {
            let help = Tally.helpMessage(for: command, columns: 10_000)
            for match in help.matches(of: /\(values: ([^;)]+); default: ([^)]+)\)/) {
                let values = match.1.split(separator: ", ")
                #expect(values.contains(match.2), "\(command._commandName): \(match.0)")
                count += 1
            }
        }
        #expect(count > 3)
    }
}
