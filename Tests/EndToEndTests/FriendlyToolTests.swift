import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The commands tail, pub and stat` {
    private let nsqd: RunningNSQD

    init() throws { nsqd = try RunningNSQD() }

    private func run(_ words: String...) throws -> (status: Int32?, output: [String]) {
        let process = try BuiltProcess(words)
        return (process.status(), process.lines(of: .standardOutput))
    }

    private var tcp: String { "--nsqd-tcp-address=\(nsqd.tcpAddress)" }
    private var http: String { "--nsqd-http-address=\(nsqd.httpAddress)" }

    @Test func `publish, print and count messages`() throws {
        let created = try ReceivedResponse(
            to: "POST", "/topic/create?topic=plays", at: nsqd.httpAddress)
        #expect(created.status == 200)
        #expect(
            try ReceivedResponse(
                to: "POST", "/channel/create?topic=plays&channel=c", at: nsqd.httpAddress
            ).status == 200)
        #expect(try run("pub", "plays", "one", "two words", tcp).status == 0)
        let stat = try run("stat", http)
        #expect(stat.status == 0)
        #expect(
            stat.output == [
                "TOPIC  CHANNEL  DEPTH  IN FLIGHT  DEFERRED  MESSAGES  CLIENTS",
                "plays               0                              2",
                "       c            2          0         0         2        0",
            ])
        let tail = try run("tail", "plays", "-n", "2", "--channel=c", tcp)
        #expect(tail.status == 0)
        #expect(tail.output.sorted() == ["one", "two words"])
        #expect(nsqd.stop())
    }

    @Test(.disabled(if: RunningNSQD.isForeign, "nsqd has no such requests"))
    func `health tells whether a server is ready`() throws {
        #expect(try run("health", nsqd.httpAddress).output == ["OK"])
        #expect(try run("health", nsqd.httpAddress, "--live").status == 0)
        #expect(nsqd.stop())
        let gone = try BuiltProcess(["health", nsqd.httpAddress, "--timeout=2s"])
        #expect(gone.status() == 1)
        #expect(gone.line(containing: "Error: http://\(nsqd.httpAddress)/readyz: ") != nil)
        #expect(try run("health", "--timeout=0").status == 64)
    }

    @Test func `print JSON`() throws {
        #expect(try run("pub", "plays", "one\u{1b}", tcp).status == 0)
        let tail = try run("tail", "plays", "-n", "1", "--channel=c", "--json", tcp)
        #expect(tail.status == 0)
        let message = try jsonObject(in: tail.output.joined().utf8)
        #expect(message["body"] as? String == "one\u{1b}")
        #expect(message["topic"] as? String == "plays")
        #expect(message["attempts"] as? Int == 1)
        let stat = try run("stat", "plays", "--json", http)
        #expect(stat.status == 0)
        #expect(stat.output.joined().hasPrefix(#"{"topics":[{"topic":"plays","depth":0,"#))
        #expect(nsqd.stop())
    }

    @Test(arguments: [
        (["tail"], 64), (["tail", "plays", "-n", "0"], 64), (["pub"], 64),
        (["stat", "--lookupd-http-address=a:1"], 64),
        (["tail", "plays", "--nsqd-tcp-address=127.0.0.1:1"], 1),
        (["pub", "plays", "x", "--nsqd-tcp-address=127.0.0.1:1"], 1),
        (["stat", "--nsqd-http-address=127.0.0.1:1"], 1),
    ])
    func `explain a wrong command line and a missing nsqd`(words: [String], status: Int) throws {
        let process = try BuiltProcess(words)
        #expect(process.status() == Int32(status))
        let errors = process.lines(of: .standardError)
        #expect(errors.contains { $0.hasPrefix("Error: ") }, "\(errors)")
        #expect(nsqd.stop())
    }
}
