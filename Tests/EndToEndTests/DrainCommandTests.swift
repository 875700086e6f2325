import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking, .disabled(if: RunningNSQD.isForeign, "nsqd cannot be drained"))
struct `The command drain` {
    private func start() throws -> (process: BuiltProcess, http: String) {
        let started = try BuiltProcess.listening(
            [
                "nsqd", "--memory-only", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            ], mark: "HTTP: listening on ")
        return (started.process, started.address)
    }

    private func post(_ target: String, _ http: String, body: String = "") throws -> Int {
        try ReceivedResponse(to: "POST", target, at: http, body: Array(body.utf8)).status
    }

    @Test func `waits until the broker is empty, which then ends with 0`() throws {
        let (broker, http) = try start()
        #expect(try post("/channel/create?topic=plays&channel=c", http) == 404)
        #expect(try post("/topic/create?topic=plays", http) == 200)
        #expect(try post("/channel/create?topic=plays&channel=c", http) == 200)
        #expect(try post("/pub?topic=plays", http, body: "one") == 200)
        let drain = try BuiltProcess(["drain", "--nsqd-http-address=\(http)"])
        #expect(broker.line(containing: "DRAIN: publishes are refused, 1 message left") != nil)
        #expect(try post("/channel/empty?topic=plays&channel=c", http) == 200)
        #expect(drain.status() == 0)
        #expect(
            drain.lines(of: .standardOutput) == ["drained: 1 message, no message is left"])
        #expect(broker.status() == 0)
        #expect(broker.line(containing: "drained: exiting") != nil)
    }

    @Test func `fails after its timeout, and when the broker ends or the drain is cancelled`()
        throws
    {
        let (broker, http) = try start()
        let address = "--nsqd-http-address=\(http)"
        #expect(try post("/pub?topic=plays", http, body: "one") == 200)
        let late = try BuiltProcess(["drain", address, "--timeout=1ms"])
        #expect(late.status() == 1)
        #expect(late.line(containing: "not empty after --timeout, 1 message left") != nil)
        let cancelled = try BuiltProcess(["drain", address])
        #expect(cancelled.line(containing: "drained 0 of 1") != nil)
        let cancel = try BuiltProcess(["drain", address, "--cancel"])
        #expect(cancel.status() == 0)
        #expect(cancel.lines(of: .standardOutput) == ["running: 1 message left"])
        #expect(cancelled.status() == 1)
        #expect(cancelled.line(containing: "the drain was cancelled, 1 message left") != nil)
        let unfinished = try BuiltProcess(["drain", address])
        #expect(unfinished.line(containing: "drained 0 of 1") != nil)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
        #expect(unfinished.status() == 1)
        #expect(unfinished.line(containing: "the last report: 1 message left") != nil)
    }

    @Test func `hands the messages over to another broker`() throws {
        let (source, http) = try start()
        let (target, other) = try start()
        #expect(try post("/pub?topic=plays", http, body: "one") == 200)
        let drain = try BuiltProcess([
            "drain", "--nsqd-http-address=\(http)", "--hand-over-to=\(other)",
        ])
        #expect(drain.status() == 0)
        #expect(source.status() == 0)
        let stats = try ReceivedResponse(to: "GET", "/stats?topic=plays", at: other).body
        #expect(stats.contains("[plays          ] depth: 1 "), "\(stats)")
        target.send(SIGTERM)
        #expect(target.status() == 0)
        let wrong = try BuiltProcess(["drain", "--allow-duplicates"])
        #expect(wrong.status() == 64)
    }

    @Test func `begins with SIGUSR2, too`() throws {
        let (broker, _) = try start()
        broker.send(SIGUSR2)
        #expect(broker.line(containing: "DRAIN: no message is left") != nil)
        #expect(broker.status() == 0)
    }
}
