import ArgumentParser
import GoFlags
import NSQBroker
import TallyBasics
import Testing

@testable import tally

@Suite struct `A suggestion for an unknown flag` {
    private static let names = ServerOption.all.map(\.flag)

    @Test(arguments: [
        ("tcp-adress", "tcp-address"), ("tcp_address", "tcp-address"),
        ("TCP-Address", "tcp-address"),
        ("mem-queue", "mem-queue-size"), ("data-dir", "data-path"),
        ("max-message-size", "max-msg-size"), ("lookupd-address", "lookupd-tcp-address"),
        ("http-addr", "http-address"), ("tls-certificate", "tls-cert"), ("verson", "version"),
    ])
    func `is the most similar name`(name: String, known: String) {
        #expect(Suggestion.nearest(to: name, in: Self.names) == known)
    }

    @Test(arguments: ["nope", "x", "", String(repeating: "tcp-address", count: 1_000), "👩‍👩‍👧"])
    func `is missing if nothing is similar`(name: String) {
        #expect(Suggestion.nearest(to: name, in: Self.names) == nil)
    }

    @Test(arguments: [
        ("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2),
    ])
    func `uses the Levenshtein distance`(first: String, second: String, distance: Int) {
        #expect(Suggestion.editDistance(first, second) == distance)
    }

    @Test(arguments: [
        (["serve", "--tcp-adress=x"], "did you mean --tcp-address?"),
        (["serve", "--stor=x"], "did you mean --store?"),
        (["serve", "-stor=x"], "did you mean --store?"),
        (["serve", "-store=x"], "did you mean --store?"),
        (["bench", "--round=1"], "did you mean --rounds?"),
        (["bench", "--syncs=always"], "did you mean --sync?"),
        (["process", "-nsqd-tcp-address=a:1"], "did you mean --nsqd-tcp-address?"),
        (["process", "--nsqd-tcp-adress=a:1"], "--nsqd-tcp-address"),
        (["produce", "-nsqd-tcp-address", "a:1"], "did you mean --nsqd-tcp-address?"),
        (["counts", "-json"], "did you mean --json?"),
        (["demo", "-plays=1000"], "did you mean --plays?"),
        (["doctor", "-export=a", "folder"], "did you mean --export?"),
    ])
    func `is part of the error of every command`(words: [String], text: String) {
        #expect {
            _ = try Tally.parsed(words)
        } throws: { error in
            Tally.message(for: error).contains(text)
        }
    }
}

@Suite struct `A duration on the command line` {
    private static let flags = ExtremeValue.durationFlags

    @Test func `is an option of several commands`() { #expect(Self.flags.count >= 6) }

    @Test(arguments: flags)
    func `without a unit is refused with the right form`(command: String, flag: String) {
        for (text, remedy) in [
            ("60", "use 60s"), ("1.5", "use 1.5s"), ("1 s", "use a duration such as 60s"),
            ("soon", "use a duration such as 60s"),
        ] {
            #expect {
                _ = try Tally.parsed(
                    [command] + (`Extreme values of flags`.required[command] ?? [])
                        + ["--\(flag)=\(text)"])
            } throws: { error in
                let message = Tally.message(for: error)
                return message.contains("--\(flag)") && message.contains(remedy)
            }
        }
    }

    @Test(arguments: ["serve", "bench"])
    func `of the broker is refused with the right form`(command: String) {
        for option in ServerOption.all where option.typeName == "duration" {
            #expect {
                _ = try Tally.parsed([command, "--\(option.flag)=60"])
            } throws: { error in
                Tally.message(for: error).contains("-\(option.flag): parse error (use 60s)")
            }
        }
    }
}
