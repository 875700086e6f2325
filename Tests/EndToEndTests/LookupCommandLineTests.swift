import Foundation
import TestKit
import TestTraits
import Testing

/// The command line of our nsqlookupd, or of the one of `NSQLOOKUPD_PROGRAM`.
@Suite(.blocking) struct `The command line of nsqlookupd` {
    private static let named = ProcessInfo.processInfo.environment["NSQLOOKUPD_PROGRAM"]
    private static let free = ["-tcp-address=127.0.0.1:0", "--http-address", "127.0.0.1:0"]

    private func nsqlookupd(_ words: [String]) throws -> BuiltProcess {
        try BuiltProcess(
            (Self.named == nil ? ["nsqlookupd"] : []) + words,
            executable: Self.named.map { URL(filePath: $0) } ?? BuiltProcess.tally)
    }

    /// Starts an nsqlookupd on free ports, and returns the address of its HTTP API.
    private func listening(_ words: [String] = []) throws -> (BuiltProcess, http: String) {
        let process = try nsqlookupd(Self.free + words)
        let mark = "HTTP: listening on "
        let line = try #require(process.line(containing: mark))
        return (process, String(line[line.range(of: mark)!.upperBound...]))
    }

    @Test(arguments: [
        (["-nope"], "flag provided but not defined: -nope"),
        (
            ["-tombstone-lifetime=x"],
            "invalid value \"x\" for flag -tombstone-lifetime: parse error"
        ),
        (["-log-level"], "flag needs an argument: -log-level"),
    ])
    func `names an invalid flag and exits with 2`(words: [String], first: String) throws {
        let process = try nsqlookupd(words)
        #expect(process.status() == 2)
        #expect(process.lines(of: .standardError).first?.hasPrefix(first) == true)
    }

    @Test(arguments: [
        (["-tcp-address=127.0.0.1:99999"], "listen (127.0.0.1:99999) failed - "),
        (["-config=/no/such.cfg"], "failed to load config file /no/such.cfg - "),
    ])
    func `exits with 1 and a fatal line for invalid options`(
        words: [String], reason: String
    ) throws {
        let process = try nsqlookupd(Self.free + words)
        #expect(process.status() == 1)
        let last = process.lines(of: .standardError).last ?? ""
        #expect(last.contains("FATAL: ") && last.contains(reason), "\(last)")
    }

    @Test(arguments: ["-version", "--version=true"])
    func `prints the version`(word: String) throws {
        let process = try nsqlookupd([word])
        #expect(process.status() == 0)
        let lines = process.lines(of: .standardOutput)
        #expect(lines.count == 1)
        #expect(lines.first?.wholeMatch(of: /nsqlookupd v1\.3\.0 \(built w\/.*\)/) != nil)
    }

    @Test func `logs in the words of the original and ends after SIGTERM with 0`() throws {
        let (process, http) = try listening()
        #expect(try ReceivedResponse(to: "GET", "/topics", at: http).status == 200)
        let request = #/\[nsqlookupd\] [0-9/]+ [0-9:.]+ INFO: 200 GET /topics \(127.*\) .*s/#
        let line = try #require(process.line(containing: "GET /topics"))
        #expect(line.wholeMatch(of: request) != nil, "\(line)")
        process.send(SIGTERM)
        #expect(process.status() == 0)
        let lines = process.lines(of: .standardError).map { $0.split(separator: " INFO: ").last! }
        #expect(lines.first?.hasPrefix("nsqlookupd v1.3.0 (built w/") == true)
        #expect(lines.contains { $0.hasPrefix("TCP: listening on 127.0.0.1:") })
        #expect(lines.contains { $0.hasPrefix("TCP: closing 127.0.0.1:") })
        #expect(lines.contains("HTTP: closing \(http)"))
    }

    @Test func `has precedence over the configuration file`() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appending(component: "lookup.cfg")
        let text = "log_prefix = \"[file] \"\ntombstone_lifetime = \"1m\"\nunknown = 1\n"
        try Data(text.utf8).write(to: file)
        let (first, _) = try listening(["--config=\(file.path)"])
        #expect(first.line(containing: "[file] ") != nil)
        let (second, _) = try listening(["--config=\(file.path)", "--log-prefix=[flag] "])
        #expect(second.line(containing: "[flag] ") != nil)
        for process in [first, second] {
            process.send(SIGINT)
            #expect(process.status() == 0)
        }
    }

    @Test(.enabled(if: named == nil, "the program needs no link"))
    func `is that of a link with its name`() throws {
        let folder = try TemporaryFolder()
        let link = folder.url.appending(component: "nsqlookupd")
        try FileManager.default.createSymbolicLink(
            at: link, withDestinationURL: BuiltProcess.tally)
        let process = try BuiltProcess(["-nope"], executable: link)
        #expect(process.status() == 2)
        #expect(process.lines(of: .standardError).last == "See 'nsqlookupd --help'.")
    }

    @Test(.enabled(if: named == nil, "the original has no data path"))
    func `keeps topics across SIGKILL with a data path`() throws {
        let folder = try TemporaryFolder()
        let flags = ["--data-path=\(folder.url.path)"]
        let (first, http) = try listening(flags)
        #expect(
            try ReceivedResponse(to: "POST", "/topic/create?topic=plays", at: http).status == 200)
        first.send(SIGKILL)
        #expect(first.status() == -SIGKILL)
        let (second, again) = try listening(flags)
        #expect(
            try ReceivedResponse(to: "GET", "/topics", at: again).body == #"{"topics":["plays"]}"#)
        second.send(SIGTERM)
        #expect(second.status() == 0)
    }

    /// Our processor finds our brokers through the nsqlookupd under test.
    @Test func `leads a processor to every nsqd that registers`() throws {
        let lookup = try nsqlookupd(Self.free + ["-broadcast-address=127.0.0.1"])
        func address(_ kind: String) throws -> String {
            let mark = "\(kind): listening on "
            let line = try #require(lookup.line(containing: mark))
            return String(line[line.range(of: mark)!.upperBound...])
        }
        let (tcp, http) = (try address("TCP"), try address("HTTP"))
        let brokers = try (0..<2).map { _ in
            try BuiltProcess.broker([
                "--lookupd-tcp-address=\(tcp)", "--broadcast-address=127.0.0.1",
            ])
        }
        for (_, address) in brokers {
            let producer = try BuiltProcess([
                "produce", "--nsqd-tcp-address=\(address)", "--plays=500",
            ])
            #expect(producer.status() == 0)
        }
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let processor = try BuiltProcess([
            "process", "--lookupd-http-address=\(http)", "--store=\(store)",
        ])
        #expect(try eventually { try counted(in: store).plays == 1_000 })
        for process in [processor, lookup] + brokers.map(\.process) {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }
}
