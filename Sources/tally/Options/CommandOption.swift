import ArgumentParser
import Foundation

/// An option or flag of a command, from the definitions that also produce the command's help.
struct CommandOption: Decodable {
    private struct Name: Decodable { var name: String }
    private let kind: String
    private let names: [Name]?
    private let defaultValue: String?
    /// `true` if the option can be given several times.
    let isRepeating: Bool

    /// The long name without dashes; `nil` for a positional argument.
    var name: String? { kind == "positional" ? nil : names?.last?.name }
    /// `true` if the option's default value is an integer. All its values are then integers.
    var takesNumber: Bool { defaultValue.flatMap(Int.init) != nil }
    /// `true` if the option has no value.
    var isFlag: Bool { kind == "flag" }

    /// Returns all options of a command, including `help` and `version`.
    static func all(of command: any ParsableCommand.Type) -> [CommandOption] {
        struct Tool: Decodable {
            struct Command: Decodable { var arguments: [CommandOption]? }
            var command: Command
        }
        // Decoding cannot fail at run time, because a test decodes the options of every command.
        let tool = try? JSONDecoder().decode(Tool.self, from: Data(command._dumpHelp().utf8))
        return tool?.command.arguments ?? []
    }
}
