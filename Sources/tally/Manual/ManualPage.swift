import ArgumentParser
import Foundation
import GoFlags
import NSQBroker
import TallyBasics

/// The manual page tally(1), with the descriptions and options that `--help` prints.
struct ManualPage {
    var date: Date

    /// The page in the format of mdoc(7).
    var text: String {
        var page = MdocWriter()
        page.lines = [
            ".Dd \(Self.dateText(date))", ".Dt TALLY 1", ".Os", ".Sh NAME", ".Nm tally",
            ".Nd counts video plays that arrive through NSQ, and includes an NSQ broker",
            ".Sh SYNOPSIS", ".Nm tally", ".Ar command", ".Op Ar options",
        ]
        page.lines.append(".Sh DESCRIPTION")
        page.add(discussion: Tally.configuration.discussion)
        page.lines.append(".Sh COMMANDS")
        for command in Tally.configuration.subcommands where command.configuration.shouldDisplay {
            page.add(command, after: "tally")
        }
        page.addEnvironment()
        page.lines += [".Sh EXIT STATUS"]
        page.add(
            text: """
                0 for success, 1 for a failure, and 64 for an invalid command line. The exit status of \
                NSQ's programs is that of the originals: 2 for an invalid command line. The demo exits with 1 if \
                a rule is broken, and doctor with 1 for a damaged data path and 2 if it cannot be \
                checked.
                """)
        return page.lines.joined(separator: "\n")
    }

    /// The date in the form of mdoc(7), with English month names in every locale.
    private static func dateText(_ date: Date) -> String {
        var seconds = time_t(date.timeIntervalSince1970)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let months = [
            "January", "February", "March", "April", "May", "June", "July", "August", "September",
            "October", "November", "December",
        ]
        return "\(months[Int(parts.tm_mon)]) \(parts.tm_mday), \(parts.tm_year + 1900)"
    }
}

extension MdocWriter {
    /// Adds a command and its subcommands.
    ///
    /// - Parameter names: the names of the commands of which it is a subcommand, from the
    ///   outermost.
    fileprivate mutating func add(_ command: any ParsableCommand.Type, after names: String) {
        let name = "\(names) \(command.configuration.commandName ?? "")"
        lines.append(".Ss \(name)")
        addContents(of: command)
        for subcommand in command.configuration.subcommands { add(subcommand, after: name) }
    }

    /// Adds the texts and the options of a command.
    private mutating func addContents(of command: any ParsableCommand.Type) {
        let configuration = command.configuration
        add(text: configuration.abstract)
        if let program = command as? any NSQProgram.Type { return add(program: program) }
        if !configuration.discussion.isEmpty {
            lines.append(".Pp")
            add(discussion: configuration.discussion)
        }
        for section in HelpOptions.sections(of: command) {
            if section.title != "Options" {
                lines.append(".Pp")
                add(text: "\(section.title):")
            }
            list(section.options.map { (Self.label($0.label), $0.text) })
        }
    }

    private mutating func add(program: any NSQProgram.Type) {
        let flags = program.flagDescriptions
        let config =
            flags.contains { $0.flag == "config" }
            ? " The file of --config is TOML, with the names of the flags and _ between words." : ""
        lines.append(".Pp")
        add(
            text: "Each flag can be written with one dash or two, and its value after = or as the "
                + "next argument." + config)
        list(
            flags.map { option in
                let value = option.isBoolean ? "" : " Ns = Ns Ar \(Self.argument(option.typeName))"
                let shown = Self.isMachineDependent(option) ? nil : option.defaultText
                return (
                    "Fl -\(option.flag)\(value)",
                    Self.sentence(option.usage) + (shown.map { " (default \($0))" } ?? "") + "."
                )
            })
        lines.append(".Pp")
        lines.append("Examples:")
        example(program.exampleLines)
    }

    /// Whether the default value depends on the machine, so that it must not appear in the manual.
    private static func isMachineDependent(_ option: FlagDescription) -> Bool {
        ["broadcast-address", "node-id", "max-memory-bytes"].contains(option.flag)
    }

    fileprivate mutating func addEnvironment() {
        lines.append(".Sh ENVIRONMENT")
        list([
            ("Ev \(SecretVariables.authSecretName)", "The default of --nsqd-auth-secret."),
            ("Ev NO_COLOR", "If it is not empty, progress bars have no color."),
            (
                "Ev TMPDIR",
                "The folder of the demo's temporary store. By default it is in memory if there is enough."
            ),
        ])
        lines.append(".Sh FILES")
        list([
            ("Pa tally.sqlite", "The default store of serve, process and counts."),
            (
                "Pa tally.sqlite-history",
                "A note beside a store, by which the loss of a part of its history is noticed."
            ),
        ])
    }

    /// Adds a discussion of `--help` with its examples.
    fileprivate mutating func add(discussion: String) {
        let parts = HelpText.printed(discussion).components(separatedBy: "\n\nEXAMPLES\n")
        for (index, paragraph) in parts[0].components(separatedBy: "\n\n").enumerated() {
            if index > 0 { lines.append(".Pp") }
            add(text: paragraph)
        }
        guard parts.count > 1 else { return }
        lines += [".Pp", "Examples:"]
        example(parts[1].split(separator: "\n").map { String($0.dropFirst(2)) })
    }

    private static func sentence(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst()
    }

    /// Converts a label of `--help`, such as `-h, --help` or `--store <store>`.
    private static func label(_ label: String) -> String {
        label.split(separator: " ").map { word in
            let isFollowed = word.hasSuffix(",")
            let name = word.filter { !"<>[],".contains($0) }
            let part = name.hasPrefix("-") ? "Fl \(name.dropFirst())" : "Ar \(argument(name))"
            return part + (isFollowed ? " ," : "")
        }.joined(separator: " ")
    }
}

/// The options of a command, as `--help` prints them.
enum HelpOptions {
    struct Section {
        var title: String
        var options: [(label: String, text: String)] = []
    }

    static func sections(of command: any ParsableCommand.Type) -> [Section] {
        var sections: [Section] = []
        let help = Tally.helpMessage(for: command, columns: 100_000).split(separator: "\n")
        // Matches the label of an option, with the name of its value if it has one, and its
        // description.
        let option = #/  ((?:-[a-z], )?--?[a-z0-9-]+(?: <[^>]+>)?|<[^>]+>(?: \.\.\.)?)(?: +(.*))?/#
        for line in help.drop(while: { !$0.hasPrefix("USAGE:") }).dropFirst() {
            if let title = line.wholeMatch(of: #/([^ ].*):/#)?.1 {
                sections.append(Section(title: title.prefix(1) + title.dropFirst().lowercased()))
            } else if let match = line.wholeMatch(of: option), !sections.isEmpty {
                sections[sections.count - 1].options.append(
                    (String(match.1), String(match.2 ?? "")))
            } else if var last = sections.last?.options.last {
                last.text += (last.text.isEmpty ? "" : " ") + line.drop { $0 == " " }
                sections[sections.count - 1].options.removeLast()
                sections[sections.count - 1].options.append(last)
            }
        }
        return sections.filter { !$0.options.isEmpty }
    }
}
