import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The commands peek and message` {
    private let nsqd: RunningNSQD

    init() throws { nsqd = try RunningNSQD() }

    private func run(_ words: String...) throws -> (status: Int32?, output: [String], error: String)
    {
        let process = try BuiltProcess(words + ["--nsqd-http-address=\(nsqd.httpAddress)"])
        let status = process.status()
        return (
            status, process.lines(of: .standardOutput),
            process.lines(of: .standardError).joined(separator: "\n")
        )
    }

    private func post(_ target: String, _ body: String = "") throws {
        let response = try ReceivedResponse(
            to: "POST", target, at: nsqd.httpAddress, body: Array(body.utf8))
        #expect(response.status == 200)
    }

    private func publish(_ bodies: String...) throws {
        try post("/topic/create?topic=plays")
        try post("/channel/create?topic=plays&channel=count")
        for body in bodies { try post("/pub?topic=plays", body) }
    }

    @Test(.disabled(if: RunningNSQD.isForeign, "nsqd has no such requests"))
    func `show and change messages`() throws {
        try publish("one", "two", "three", "four")
        let shown = try run("peek", "plays", "count")
        #expect(shown.status == 0)
        #expect(shown.output.count == 8)
        #expect(shown.output[0].hasSuffix("0 attempts  ready  3 bytes"))
        #expect(shown.output[1] == "    one")
        let json = try run("peek", "plays", "count", "--contains=thr", "--json").output
        #expect(json.count == 1)
        let message = try jsonObject(in: json.joined().utf8)
        #expect(message["body"] as? String == "three")
        let id = try #require(message["id"] as? String)
        #expect(try run("peek", "plays", "count", "--id=\(id)").output[1] == "    three")
        let limited = try run("peek", "plays", "count", "-n", "1")
        #expect(limited.error.contains("more messages follow: pass --after="))

        #expect(try run("message", "delete", "plays", "count", id).output == ["deleted 1 message"])
        #expect(
            try run("message", "delete", "plays", "count", id).error.contains("no such message"))
        let preview = try run("message", "delete", "plays", "count", "--contains=o", "--preview")
        #expect(preview.output == ["3 messages of 3 selected"])
        #expect(
            try run("message", "defer", "plays", "count", "--contains=one", "--by=1m").output
                == ["deferred 1 message"])
        #expect(
            try run("message", "requeue", "plays", "count", "--state=deferred").output
                == ["requeued 1 message"])
        #expect(
            try run("message", "move", "plays", "count", "--all", "--to=later").output
                == ["moved 3 messages"])
        #expect(try run("peek", "plays", "count").output == [])
        #expect(try run("peek", "later").output.count == 6)
        let operations = try run("message", "operations")
        #expect(operations.output.count == 5)
        #expect(try run("message", "cancel", "1").status == 0)
        #expect(nsqd.stop())
    }

    @Test(.disabled(if: RunningNSQD.isForeign, "nsqd has no such requests"))
    func `explain what is wrong`() throws {
        try publish("one")
        #expect(try run("peek", "other").error.contains("unknown topic 'other'"))
        #expect(try run("peek", "plays", "other").error.contains("has no channel 'other'"))
        #expect(try run("peek", "plays", "count", "--id=12").status == 64)
        #expect(try run("peek", "plays", "count", "-n", "0").status == 64)
        #expect(try run("peek", "plays", "count", "--state=lost").status == 64)
        #expect(try run("message", "delete", "plays", "count").status == 64)
        #expect(
            try run("message", "delete", "plays", "count", "--all", "--contains=x").status == 64)
        #expect(try run("message", "defer", "plays", "count", "--all").status == 64)
        #expect(nsqd.stop())
    }

    @Test func `say that a real nsqd cannot do it`() throws {
        let other = try FixedResponseServer("{\"message\":\"NOT_FOUND\"}", status: 404)
        let process = try BuiltProcess([
            "peek", "plays", "count", "--nsqd-http-address=\(other.address)",
        ])
        #expect(process.status() == 1)
        #expect(
            process.lines(of: .standardError).joined().contains("only tally's nsqd can"))
        #expect(nsqd.stop())
    }
}
