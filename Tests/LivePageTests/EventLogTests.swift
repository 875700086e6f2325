import HTTP
import TestTraits
import Testing

@testable import LivePage

@Suite(.blocking) struct `The event log` {
    private func batch(_ log: EventLog, _ names: [String]) -> EventBatch {
        var batch = EventBatch(after: log.last, runID: "run")
        for name in names { batch.append("call", Array(name.utf8)) }
        return batch
    }

    private func text(_ piece: HTTPChunk) -> String {
        String(decoding: piece.bytes, as: UTF8.self)
    }

    @Test func `returns the events after a cursor, in bytes that all subscribers share`() throws {
        var log = EventLog(maxBytes: 1000)
        log.append(batch(log, ["a", "b"]))
        log.append(batch(log, ["c"]))
        let first = try #require(log.next(after: 0))
        #expect(first.last == 2)
        #expect(
            text(first.piece)
                == "id: run-1\nevent: call\ndata: a\n\nid: run-2\nevent: call\ndata: b\n\n")
        #expect(log.next(after: 0)?.piece === first.piece)
        #expect(log.next(after: 2).map { text($0.piece) } == "id: run-3\nevent: call\ndata: c\n\n")
        #expect(log.next(after: 3) == nil)
    }

    @Test func `returns the rest of a piece to a subscriber that reconnects in the middle of it`()
        throws
    {
        var log = EventLog(maxBytes: 1000)
        log.append(batch(log, ["a", "b", "c"]))
        let rest = try #require(log.next(after: 2))
        #expect(text(rest.piece) == "id: run-3\nevent: call\ndata: c\n\n")
        #expect(rest.last == 3)
    }

    @Test func `removes the oldest events beyond its limit and rejects cursors before them`() {
        var log = EventLog(maxBytes: 100)
        #expect(log.canContinue(after: 0))
        for _ in 1...10 { log.append(batch(log, ["x"])) }
        // Each event has about 31 bytes, so the log keeps the last three.
        #expect(!log.canContinue(after: 0))
        #expect(!log.canContinue(after: 6))
        #expect(log.canContinue(after: 7))
        #expect(log.canContinue(after: 10))
        // Event 11 does not exist yet.
        #expect(!log.canContinue(after: 11))
    }

    @Test func `rejects cursors from before an invalidation`() {
        var log = EventLog(maxBytes: 1000)
        log.append(batch(log, ["a"]))
        log.invalidate()
        #expect(!log.canContinue(after: 1))
        #expect(log.canContinue(after: log.last))
        log.append(batch(log, ["b"]))
        #expect(log.next(after: 2)?.last == 3)
    }

    @Test func `keeps events of exactly its limit, and always the newest piece`() {
        var log = EventLog(maxBytes: 1000)
        log.append(batch(log, ["x"]))
        let eventBytes = log.next(after: 0)?.piece.count ?? 0
        var exact = EventLog(maxBytes: 2 * eventBytes)
        for _ in 1...2 { exact.append(batch(exact, ["x"])) }
        #expect(exact.canContinue(after: 0))
        exact.append(batch(exact, ["x"]))
        #expect(!exact.canContinue(after: 0) && exact.canContinue(after: 1))
        var small = EventLog(maxBytes: 1)
        for number in 1...3 {
            small.append(batch(small, ["x"]))
            #expect(small.canContinue(after: number - 1))
            #expect(small.next(after: number - 1)?.last == number)
        }
    }

    @Test func `has its whole space again after an invalidation`() {
        var log = EventLog(maxBytes: 100)
        for _ in 1...3 { log.append(batch(log, ["x"])) }
        log.invalidate()
        let last = log.last
        for _ in 1...3 { log.append(batch(log, ["x"])) }
        #expect(log.canContinue(after: last))
    }

    @Test(arguments: ["", "run", "run-", "run-x", "run--1", "-1", "a-b-1"])
    func `rejects malformed event IDs`(text: String) {
        #expect(EventID(text) == nil || EventID(text)?.runID == "")
    }
}
