import ArgumentParser
import Foundation
import GoFlags
import NSQBroker
import TestKit
import Testing

@testable import tally

/// Values at the limits of integers and durations, and values that are neither.
enum ExtremeValue {
    static let all = [
        "-1", "0", "1", "999us", "\(1 << 31)", "\(1 << 53)", "\(1 << 62)", "\(Int.max)",
        "\(Int.min)", "\(UInt64.max)", "9223372036854775808", "2562047h47m16.854775807s",
        "-2562047h47m16.854775807s", "9999999h", "1e400", "nan", "", "text", "0x", "👩‍👩‍👧",
    ]

    /// Two of the values, which differ from flag to flag, because parsing a whole command line takes
    /// long. `make flags` tries all values with running processes.
    static func sample(_ number: Int) -> [String] {
        [all[number % all.count], all[(number + all.count / 2) % all.count]]
    }

    /// The options with a duration.
    static let durationFlags = `Extreme values of flags`.flags.filter {
        [
            "freshness", "coalesce", "dedup-window", "over", "max-standstill",
        ].contains($0.flag)
    }
}

/// Swift ends the process when a number overflows, so each value of each flag must be accepted or
/// refused before any arithmetic.
@Suite struct `Extreme values of flags` {
    /// The flags of the commands, from the definitions that also produce the help.
    static let flags: [(command: String, flag: String)] = {
        struct Tool: Decodable { var command: Command }
        struct Command: Decodable {
            var commandName: String
            var arguments: [Argument]?
            var subcommands: [Command]?
        }
        struct Argument: Decodable {
            struct Name: Decodable { var name: String }
            var kind: String
            var names: [Name]?
        }
        guard let tool = try? Tool(json: Tally._dumpHelp().utf8) else { return [] }
        return (tool.command.subcommands ?? []).flatMap { command in
            (command.arguments ?? []).filter { $0.kind == "option" }.compactMap { argument in
                argument.names?.last.map { (command.commandName, $0.name) }
            }
        }
    }()

    /// Arguments that a command cannot do without.
    static let required = [
        "process": ["--nsqd-tcp-address=127.0.0.1:1"],
        "produce": ["--nsqd-tcp-address=127.0.0.1:1"], "doctor": ["folder"],
    ]

    @Test func `of every command are parsed and validated without an overflow`() throws {
        #expect(Self.flags.count > 40)
        #expect(Self.flags.contains { $0 == ("serve", "max-in-flight") })
        for (number, (command, flag)) in Self.flags.enumerated() {
            for value in ExtremeValue.sample(number) {
                // An error is a valid outcome. The test fails only if the process ends.
                _ = try? Tally.parseAsRoot(
                    [command] + (Self.required[command] ?? []) + ["--\(flag)=\(value)"])
            }
        }
    }

    @Test func `of the broker's flags are parsed and validated in every command`() throws {
        for (number, option) in ServerOption.all.enumerated() {
            for value in ExtremeValue.all {
                let words = ["--\(option.flag)=\(value)"]
                _ = try? FlagSet(name: "nsqd").parse(words, over: ServerOptions()).values
                    .validated()
            }
            for value in ExtremeValue.sample(number).prefix(1) {
                _ = try? Tally.parseAsRoot(["serve", "--\(option.flag)=\(value)"])
            }
        }
    }

    @Test(arguments: [
        ("max-in-flight", "1000001"), ("max-in-flight", "\(Int.max)"), ("max-in-flight", "0"),
        ("videos-per-call", "1000001"), ("dedup-limit", "1000000001"), ("dedup-limit", "4999"),
        ("max-attempts", "65535"), ("realtime-below", "-1"),
    ])
    func `are refused with the flag, the range and the value`(flag: String, value: String) {
        #expect {
            _ = try Tally.parseAsRoot(["serve", "--\(flag)=\(value)"])
        } throws: { error in
            let text = Tally.message(for: error)
            return text.contains("--\(flag) must be between ") && text.contains(", not \(value)")
        }
    }

    @Test(arguments: [
        ("max-in-flight", "1000000"), ("videos-per-call", "1000000"),
        ("dedup-limit", "1000000000"), ("dedup-limit", "5000"), ("max-attempts", "65534"),
    ])
    func `that are still valid are accepted`(flag: String, value: String) throws {
        var words = ["serve", "--\(flag)=\(value)"]
        if flag == "max-in-flight" { words.append("--dedup-limit=2000000") }
        _ = try Tally.parseAsRoot(words)
    }
}
