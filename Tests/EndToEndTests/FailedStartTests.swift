import Foundation
import TestKit
import TestTraits
import Testing

/// Commands that cannot start, in an empty folder.
@Suite(.blocking) struct `A failed start` {
    private let folder: TemporaryFolder
    /// A broker whose port and web address are in use.
    private let other: (process: BuiltProcess, address: String)

    init() throws {
        folder = try TemporaryFolder()
        other = try BuiltProcess.broker()
    }

    private var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.url.path).sorted() }
    }

    /// Runs a command, in whose words `USED` stands for an address that is in use.
    private func errors(of words: String) throws -> String {
        let words = words.replacing("USED", with: other.address).split(separator: " ")
        let process = try BuiltProcess(words.map(String.init), directory: folder.url)
        let status = process.status()
        #expect(status.map { $0 > 0 } == true)
        return process.lines(of: .standardError).joined(separator: "\n")
    }

    private static let serve =
        "serve --store=x --data-path=messages --http-address= --page-address=none"
    private static let free = "--tcp-address=127.0.0.1:0"

    @Test(arguments: [
        ("\(serve) --tcp-address=USED", "use the running broker with tally process --nsqd-tcp"),
        ("\(serve) \(free) --http-address=USED", "pass another --http-address"),
        ("\(serve) \(free) --page-address=USED", "pass another --page-address"),
        ("\(serve) --tcp-address=x.sock", "x.sock"),
        ("\(serve) \(free) --store=/no/such/folder/x", "check that its folder exists"),
        ("\(serve) \(free) --publish-to=https://a/ --publish-root-ca-file=/no.pem", "/no.pem"),
        ("\(serve) \(free) --topic=\(String(repeating: "t", count: 60))", "is too long"),
        ("process --nsqd-tcp-adress=x", "Did you mean '--nsqd-tcp-address'?"),
        ("produce --nsqd-tcp-adress=x", "Did you mean '--nsqd-tcp-address'?"),
        ("process --store=x", "missing --nsqd-tcp-address"), ("produce", "or --lookupd-http-add"),
        ("process --store=x --nsqd-tcp-address=127.0.0.1:1", "cannot reach"),
        ("process --store=x --lookupd-http-address=127.0.0.1:1", "no nsqlookupd responded"),
        ("process --store=x --nsqd-tcp-address=USED --page-address=USED", "pass another --page-"),
        ("demo --store=x --tcp-address=USED", "or use the running broker with --nsqd-tcp-address"),
        ("demo --store=x --nsqd-tcp-address=127.0.0.1:1", "start one with tally nsqd"),
        ("demo --store=x \(free) --live --page-address=USED", "pass another --page-address"),
        ("nsqd --data-path=messages --http-address= --tcp-address=USED", "address already in use"),
        ("nsqd --data-path=messages --http-address=USED \(free)", "address already in use"),
        ("nsqd --http-address= --tcp-address=USED", "address already in use"),
        ("nsqd --http-address=USED --tcp-address=./x.sock", "address already in use"),
        ("bench --data-path=messages --tcp-address=USED", "pass another --tcp-address"),
        ("bench --data-path=messages --against=127.0.0.1:1", "127.0.0.1:1"),
        ("doctor --import=/no/such/folder imported", "/no/such/folder"),
        ("doctor messages --export-nsqd=exported", "messages"),
    ])
    func `names the remedy and leaves no file`(words: String, text: String) throws {
        let errors = try errors(of: words)
        #expect(errors.contains(text), "\(errors)")
        #expect(try names == [])
    }

    @Test(arguments: [
        "serve --store=x --http-address= \(free) --page-address=USED",
        "process --store=x --nsqd-tcp-address=127.0.0.1:1",
    ])
    func `leaves an existing store and its history as they were`(words: String) throws {
        let demo = try BuiltProcess(
            ["demo", "--store=x", "--plays=2000", Self.free], directory: folder.url)
        #expect(demo.status() == 0)
        let before = try (names, String(contentsOfFile: folder.path("x-history"), encoding: .utf8))
        _ = try errors(of: words)
        #expect(try names == before.0)
        #expect(try String(contentsOfFile: folder.path("x-history"), encoding: .utf8) == before.1)
        let counts = try BuiltProcess(["counts", "--store=x"], directory: folder.url)
        #expect(counts.lines(of: .standardOutput).last == "100 videos, 2000 plays")
        // The next start reports no loss.
        let next = try BuiltProcess(
            ["process", "--store=x", "--page-address=none", "--nsqd-tcp-address=\(other.address)"],
            directory: folder.url)
        #expect(next.line(containing: "counting plays") != nil)
        next.send(SIGTERM)
        #expect(next.status() == 0)
        #expect(!next.lines(of: .standardError).contains { $0.contains("has lost history") })
    }

    @Test func `keeps an empty file that someone else created`() throws {
        try Data().write(to: folder.url.appending(component: "x"))
        _ = try errors(of: "process --store=x --nsqd-tcp-address=127.0.0.1:1")
        #expect(try names == ["x"])
    }

    @Test func `does not take over the data of an nsqd`() throws {
        let metadata = #"{"topics":[{"channels":[],"name":"t","paused":false}],"version":"1.3.0"}"#
        try Data(metadata.utf8).write(to: folder.url.appending(component: "nsqd.dat"))
        _ = try errors(of: "nsqd --http-address= --tcp-address=USED")
        #expect(try names == ["nsqd.dat"])
    }
}
