import HTTP
import Testing

@testable import LivePage

@Suite struct `A log of events` {
    private func batch(_ log: EventLog, _ names: [String]) -> EventBatch {
        var batch = EventBatch(after: log.last, of: "run")
        for name in names { batch.add("call", Array(name.utf8)) }
        return batch
    }

    private func text(_ piece: HTTPPiece) -> String {
        String(decoding: piece.bytes, as: UTF8.self)
    }

    @Test func `gives every reader what it has not had, in one place of memory`() throws {
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

    @Test func `goes on in the middle of a piece for a reader that broke off there`() throws {
        var log = EventLog(maxBytes: 1000)
        log.append(batch(log, ["a", "b", "c"]))
        let rest = try #require(log.next(after: 2))
        #expect(text(rest.piece) == "id: run-3\nevent: call\ndata: c\n\n")
        #expect(rest.last == 3)
    }

    @Test func `forgets the oldest beyond its bound, and knows whom it has left behind`() {
        var log = EventLog(maxBytes: 100)
        #expect(log.holds(0))
        for _ in 1...10 { log.append(batch(log, ["x"])) }
        // Some 31 bytes each: the last three are there, and lead on from the one before.
        #expect(!log.holds(0))
        #expect(!log.holds(6))
        #expect(log.holds(7))
        #expect(log.holds(10))
        // One of the future was never given.
        #expect(!log.holds(11))
    }

    @Test func `leads nobody on over a gap`() {
        var log = EventLog(maxBytes: 1000)
        log.append(batch(log, ["a"]))
        log.breakOff()
        #expect(!log.holds(1))
        #expect(log.holds(log.last))
        log.append(batch(log, ["b"]))
        #expect(log.next(after: 2)?.last == 3)
    }

    @Test(arguments: ["", "run", "run-", "run-x", "run--1", "-1", "a-b-1"])
    func `takes no word of a stranger for an event of its own`(text: String) {
        #expect(EventID(text) == nil || EventID(text)?.run == "")
    }
}
