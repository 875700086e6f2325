import TallyBasics
import TestKit
import Testing
import UVLoop

@testable import PlayCounts

@Suite struct `Calls under a lease` {
    private func call(_ number: Int) -> Call {
        var scheduler = CallScheduler()
        scheduler.enqueue(
            [PlayCount(of: VideoID(high: 1, low: UInt64(number)), number)], dueAt: .start)
        return scheduler.startDueCalls(at: MonotonicInstant(nanoseconds: 1))[0]
    }

    private func isFailure(_ result: Result<Void, SinkError>) -> Bool {
        if case .failure = result { true } else { false }
    }

    @Test func `are made one after another`() throws {
        try onLoop(clock: .manual) { loop in
            let client = HoldingSink()
            let sink = LeasedSink(client, deadline: .seconds(3), on: loop) { true }
            var results: [Bool] = []
            for number in 1...3 { sink.send(call(number)) { results.append(!isFailure($0)) } }
            #expect(client.received == 1)
            client.completions[0](.success(()))
            #expect(client.received == 2)
            client.completions[1](.success(()))
            client.completions[2](.success(()))
            #expect(results == [true, true, true])
            sink.close()
            loop.stop()
        }
    }

    @Test func `are not made when the lease ends`() throws {
        try onLoop(clock: .manual) { loop in
            let client = HoldingSink()
            var mayCall = true
            let sink = LeasedSink(client, deadline: .seconds(3), on: loop) { mayCall }
            var failures = 0
            for number in 1...3 { sink.send(call(number)) { failures += isFailure($0) ? 1 : 0 } }
            mayCall = false
            client.completions[0](.success(()))
            #expect(client.received == 1)
            #expect(failures == 2)
            sink.close()
            loop.stop()
        }
    }

    @Test func `fail at their deadline, with all that wait, and are abandoned`() throws {
        try onLoop(clock: .manual) { loop in
            let client = HoldingSink()
            let sink = LeasedSink(client, deadline: .seconds(3), on: loop) { true }
            var failures = 0
            for number in 1...2 { sink.send(call(number)) { failures += isFailure($0) ? 1 : 0 } }
            loop.advance(by: .seconds(3))
            #expect(failures == 2)
            #expect(client.abandoned == 1)
            // A late response belongs to no call.
            client.completions[0](.success(()))
            sink.send(call(3)) { _ in }
            #expect(client.received == 2)
            sink.close()
            loop.stop()
        }
    }
}

/// A client that answers when the test says so.
private final class HoldingSink: Sink {
    private(set) var completions: [(Result<Void, SinkError>) -> Void] = []
    private(set) var abandoned = 0
    var received: Int { completions.count }

    func send(_ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void) {
        completions.append(completion)
    }

    func abandonCalls() { abandoned += 1 }
}
