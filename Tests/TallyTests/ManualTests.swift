import ArgumentParser
import Foundation
import GoFlags
import NSQBroker
import TestKit
import TestTraits
import Testing

@testable import tally

@Suite struct `The manual page` {
    private let lines = ManualPage(date: Date(timeIntervalSince1970: 0)).text
        .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)

    @Test func `has the flags of NSQ's programs, and those of each command with their texts`() {
        let labels = lines.filter { $0.hasPrefix(".It") }.joined(separator: " ")
        let flags = Set(labels.split(separator: " ").filter { $0.hasPrefix("-") })
        let commands = Tally.configuration.subcommands.filter { $0.configuration.shouldDisplay }
        let expected =
            NSQPrograms.all.flatMap { $0.flagDescriptions.map(\.flag) }
            + commands.flatMap { CommandOption.all(of: $0).compactMap(\.name) }
        let missing = expected.filter { !flags.contains("-\($0)") }
        #expect(missing == [])
        func sections(of command: any ParsableCommand.Type, after names: String) -> [String] {
            let name = "\(names) \(command.configuration.commandName ?? "")"
            return [name]
                + command.configuration.subcommands.flatMap { sections(of: $0, after: name) }
        }
        let sections = commands.flatMap { sections(of: $0, after: ".Ss tally") }
        #expect(lines.filter { $0.hasPrefix(".Ss") } == sections)
        let others = [
            ".It Fl h , Fl -help", ".It Fl -page-host Ar \\&page-host", ".It Ar \\&data-path",
            ".It Fl -max-msg-size Ns = Ns Ar \\&int",
        ]
        #expect(others.filter { !lines.contains($0) } == [])
        let place = lines.firstIndex(of: ".It Fl -freshness Ar \\&freshness")
        #expect(place.map { lines[$0 + 1] } == "Every other play is published within this time.")
    }

    @Test func `has valid lines`() {
        #expect(lines.first == ".Dd January 1, 1970")
        let macros: Set = [
            ".Dd", ".Dt", ".Os", ".Sh", ".Ss", ".Nm", ".Nd", ".Ar", ".Op", ".Pp", ".Bl", ".El",
            ".It",
            ".Bd", ".Ed",
        ]
        let invalid = lines.filter { line in
            if line.hasPrefix(".") { return !macros.contains(String(line.prefix { $0 != " " })) }
            return line.isEmpty || line.hasPrefix("'") || line.contains("\u{a0}")
        }
        #expect(invalid == [])
        let count = { (mark: String) in lines.count { $0.hasPrefix(mark) } }
        #expect(count(".Bl") == count(".El") && count(".Bd") == count(".Ed"))
    }
}

@Suite(.blocking) struct `The completion scripts` {
    @Test(arguments: [CompletionShell.bash, .zsh, .fish])
    func `have the flags of NSQ's programs`(shell: CompletionShell) {
        let script = CompletionScript.text(for: shell)
        for program in NSQPrograms.all {
            let flags = program.flagDescriptions.map(\.flag)
            #expect(
                flags.filter { !script.contains(shell == .fish ? "-l \($0) " : "--\($0)") } == [])
        }
        let missing = ServerOption.all.map(\.flag).filter { flag in
            let mark = shell == .fish ? "-l \(flag) -o \(flag) " : "--\(flag)"
            // Each flag occurs for nsqd, serve and bench. The last two have some options of the same
            // names, so two occurrences suffice.
            return script.components(separatedBy: mark).count < 3
        }
        #expect(missing == [])
    }

    @Test func `have a completion that bash can parse`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("tally.bash")
        try CompletionScript.text(for: .bash).write(
            toFile: path, atomically: false, encoding: .utf8)
        let bash = try BuiltProcess(["-n", path], executable: URL(filePath: "/bin/bash"))
        #expect(bash.status() == 0, "\(bash.lines(of: .standardError))")
    }

    @Test(arguments: [
        (["--generate-completion-script", "fish"], CompletionShell.fish),
        (["--generate-completion-script=zsh"], .zsh), (["--generate-completion-script=x"], nil),
        (["demo"], nil), (["--generate-completion-scripts=zsh"], nil), ([], nil),
    ])
    func `are requested by ArgumentParser's option`(words: [String], shell: CompletionShell?) {
        #expect(CompletionScript.shell(in: words) == shell)
    }
}
