import ArgumentParser
import Foundation
import GoFlags

/// The completion scripts of the shells. ArgumentParser generates them, but does not know the flags
/// of NSQ's programs, so these flags are added for the commands that accept them.
enum CompletionScript {
    /// The option of ArgumentParser that prints a script.
    static let flag = "--generate-completion-script"

    /// The flags whose value is the path of a file or folder.
    private static let paths: Set = [
        "config", "data-path", "output-dir", "work-dir", "tls-cert", "tls-key", "tls-root-ca-file",
    ]

    /// Returns the shell whose script the command line requests; `nil` if it requests none.
    static func shell(in words: [String]) -> CompletionShell? {
        guard let first = words.first, first.hasPrefix(flag) else { return nil }
        guard first == flag || first.hasPrefix("\(flag)=") else { return nil }
        let name = first == flag ? words.dropFirst().first : String(first.dropFirst(flag.count + 1))
        return name.map { CompletionShell(rawValue: $0) } ?? CompletionShell.autodetected()
    }

    static func text(for shell: CompletionShell) -> String {
        var script = Tally.completionScript(for: shell)
        switch shell {
        case .bash:
            for command in commands { addToBash(&script, command.name, command.options) }
        case .zsh:
            for command in commands { addToZsh(&script, command.name, command.options) }
        case .fish:
            for command in commands {
                script += command.options.map { fish($0, command.name) }.joined()
            }
        default: break
        }
        return script
    }

    /// The commands that accept flags of NSQ's programs, with the flags that the commands do not
    /// declare themselves.
    private static var commands: [(name: String, options: [FlagDescription])] {
        let brokerFlags = NSQDCommand.flagDescriptions
        let others: [any ParsableCommand.Type] = [ServeCommand.self, BenchCommand.self]
        let programs = NSQPrograms.all.map { ($0 as any ParsableCommand.Type, $0.flagDescriptions) }
        return (programs + others.map { ($0, brokerFlags) }).map { type, flags in
            let own = Set(CommandOption.all(of: type).compactMap(\.name))
            return (
                type.configuration.commandName ?? "", flags.filter { !own.contains($0.flag) }
            )
        }
    }

    // MARK: Bash

    private static func addToBash(
        _ script: inout String, _ command: String, _ options: [FlagDescription]
    ) {
        func names(_ dashes: String, where isIncluded: (FlagDescription) -> Bool) -> String {
            options.filter(isIncluded).map { dashes + $0.flag }.joined(separator: " ")
        }
        /// Returns a branch of `case`; an empty text if no flag is included, because an empty
        /// pattern is an error.
        func branch(_ action: String, where isIncluded: (FlagDescription) -> Bool) -> String {
            let patterns = options.filter(isIncluded).map { "-\($0.flag)|--\($0.flag)" }
            guard !patterns.isEmpty else { return "" }
            return """
                    \(patterns.joined(separator: "|")))
                \(action)        return
                        ;;

                """
        }
        let before = """
                non_repeating_flags+=(\(names("--") { $0.isBoolean }))
                repeating_options+=(\(names("--") { $0.isRepeating }))
                non_repeating_options+=(\(names("--") { !$0.isBoolean && !$0.isRepeating }))

            """
        let files = branch("        __tally_add_completions -f\n") { paths.contains($0.flag) }
        let others = branch("") { !$0.isBoolean && !paths.contains($0.flag) }
        let after = """
                # The flags of NSQ's programs have one dash or two.
                if [[ "${cur}" = -[a-z]* ]]; then
                    COMPREPLY+=($(compgen -W '\(names("-") { _ in true })' -- "${cur}"))
                fi
                case "${prev}" in
            \(files)\(others)    esac

            """
        let offer = #/    __tally_offer_flags_options -?[0-9]+\n/#
        guard let start = script.range(of: "\n_tally_\(command)() {\n")?.upperBound,
            let call = script[start...].firstMatch(of: offer)
        else { preconditionFailure("a test finds the function of each command") }
        script.replaceSubrange(call.range, with: before + call.output + after)
    }

    // MARK: Zsh

    private static func addToZsh(
        _ script: inout String, _ command: String, _ options: [FlagDescription]
    ) {
        let mark = "    local -ar arg_specs=(\n"
        guard let start = script.range(of: "\n_tally_\(command)() {\n")?.upperBound,
            let place = script[start...].range(of: mark)?.upperBound
        else { preconditionFailure("a test finds the function of each command") }
        script.insert(contentsOf: options.map(zsh).joined(), at: place)
    }

    private static func zsh(_ option: FlagDescription) -> String {
        let usage = option.usage.replacing("\\", with: #"\\"#).replacing(":", with: #"\:"#)
            .replacing("[", with: #"\["#).replacing("]", with: #"\]"#)
        let repeating = option.isRepeating ? "*" : ""
        let value =
            option.isBoolean
            ? "" : ":\(option.typeName):" + (paths.contains(option.flag) ? "_files" : "")
        let sign = option.isBoolean ? "" : "="
        return "        \(quoted("\(repeating)--\(option.flag)\(sign)[\(usage)]\(value)"))\n"
    }

    /// Returns a text in single quotes, for a POSIX shell.
    private static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: #"'\''"#) + "'"
    }

    // MARK: Fish

    private static func fish(_ option: FlagDescription, _ command: String) -> String {
        let usage = option.usage.replacing("\\", with: #"\\"#).replacing("'", with: #"\'"#)
        let value = option.isBoolean ? "-f" : paths.contains(option.flag) ? "-rF" : "-x"
        return "complete -c tally -n '__fish_seen_subcommand_from \(command)' -l \(option.flag) "
            + "-o \(option.flag) \(value) -d '\(usage)'\n"
    }
}
