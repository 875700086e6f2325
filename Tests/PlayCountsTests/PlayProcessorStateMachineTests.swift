@testable import PlayCounts
import TallyBasics
import TestTraits
import Testing

@Suite(.blocking) struct `The state machine of the processor` {
    private typealias Machine = PlayProcessorStateMachine<Int>
    private var machine: Machine
    private var fingerprints = 0

    init() {
        var settings = PlayProcessor.Settings()
        settings.acceptanceRecordDelay = .milliseconds(100)
        settings.stopTimeout = .seconds(3)
        settings.batchDelay = .milliseconds(50)
        settings.storeProbeInterval = .seconds(20)
        settings.minStoreRetryDelay = .seconds(1)
        settings.jitterSeed = 1
        machine = Machine(
            counter: PlayCounter([PlayCount(of: video(99), 1_000)]),
            deduplication: DeduplicationWindow(at: .start), settings: settings, at: .start)
    }

    @Test mutating func `commits a batch, then publishes its counts, then finishes its messages`() {
        receive(1, delivery: 7)
        #expect(next() == "commit 1")
        #expect(next() == nil)
        machine.commitSucceeded(at: .start)
        #expect(next() == "publish 1")
        #expect(next() == "finish [7]")
        #expect(next() == nil)
    }

    @Test mutating func `puts the plays that arrive during a commit into one next batch`() {
        receive(1, delivery: 1)
        #expect(next() == "commit 1")
        receive(2, delivery: 2)
        receive(3, delivery: 3)
        #expect(next() == nil)
        machine.commitSucceeded(at: .start)
        #expect(next() == "publish 1")
        #expect(next() == "finish [1]")
        #expect(next() == "commit 2")
        machine.commitSucceeded(at: .start)
        #expect(next() == "publish 2")
        #expect(next() == "finish [2, 3]")
    }

    @Test mutating func `commits accepted counts after a delay if no batch comes`() {
        machine.callAccepted(by: 1, [PlayCount(of: video(1), 1)], at: .start)
        #expect(next() == nil)
        #expect(machine.nextDeadline == .start + .milliseconds(100))
        #expect(next(at: .milliseconds(100)) == "commit 0, accepted 1")
        #expect(machine.nextDeadline == nil)
    }

    @Test mutating func `commits accepted counts with the next batch`() {
        machine.callAccepted(by: 1, [PlayCount(of: video(1), 1)], at: .start)
        receive(1, delivery: 1)
        #expect(next() == "commit 1, accepted 1")
    }

    @Test mutating func `lets a batch without an immediate play wait for more plays`() {
        receive(99, delivery: 1)
        #expect(next() == nil)
        #expect(machine.nextDeadline == .start + .milliseconds(50))
        receive(99, delivery: 2, at: .milliseconds(30))
        #expect(next(at: .milliseconds(49)) == nil)
        #expect(next(at: .milliseconds(50)) == "commit 1")
        machine.commitSucceeded(at: .start + .milliseconds(51))
        #expect(next(at: .milliseconds(51)) == "publish 1")
        #expect(next(at: .milliseconds(51)) == "finish [1, 2]")
    }

    @Test mutating func `commits a waiting batch with the first immediate play`() {
        receive(99, delivery: 1)
        #expect(next() == nil)
        receive(1, delivery: 2)
        #expect(next() == "commit 2")
    }

    @Test mutating func `commits a waiting batch when nsqd may send no more messages`() {
        receive(99, delivery: 1, limit: 2)
        #expect(next() == nil)
        receive(99, delivery: 2, limit: 2)
        #expect(next() == "commit 1")
    }

    @Test mutating func `lets no batch wait during a stop`() {
        receive(99, delivery: 1)
        _ = machine.stop(at: .start)
        #expect(next() == "commit 1")
    }

    @Test mutating func `commits a failed batch again, before the plays that arrived later`() {
        receive(1, delivery: 1)
        #expect(next() == "commit 1")
        receive(2, delivery: 2)
        machine.commitFailed(isFatal: false, at: .start)
        #expect(machine.isActive)
        #expect(machine.commits.statistics.counted == 0)
        let retry = try! #require(machine.nextDeadline) - .start
        #expect(retry >= .milliseconds(500) && retry <= .seconds(1))
        #expect(next(at: retry - .nanoseconds(1)) == nil)
        #expect(next(at: retry) == "retry 1")
        machine.commitSucceeded(at: .start + retry)
        #expect(machine.commits.statistics.counted == 1)
        #expect(next(at: retry) == "publish 1")
        #expect(next(at: retry) == "finish [1]")
        #expect(next(at: retry) == "commit 1")
    }

    @Test mutating func `waits for the shortest time again after a commit that succeeded`() {
        receive(1, delivery: 1)
        #expect(next() == "commit 1")
        var now = Duration.zero
        for _ in 1...6 {
            machine.commitFailed(isFatal: false, at: .start + now)
            now = try! #require(machine.nextDeadline) - .start
            #expect(next(at: now) == "retry 1")
        }
        // 0.5 to 1 s, twice that, and so on up to the maximum.
        #expect(now > .seconds(8))
        machine.commitSucceeded(at: .start + now)
        #expect(next(at: now) == "publish 1")
        #expect(next(at: now) == "finish [1]")
        receive(2, delivery: 2, at: now)
        #expect(next(at: now) == "commit 1")
        machine.commitFailed(isFatal: false, at: .start + now)
        let delay = try! #require(machine.nextDeadline) - (.start + now)
        #expect(delay >= .milliseconds(500) && delay <= .seconds(1))
    }

    @Test mutating func `tries an empty commit if there was none for a while`() {
        #expect(machine.nextDeadline == .start + .seconds(20))
        #expect(next(at: .seconds(19)) == nil)
        #expect(next(at: .seconds(20)) == "commit 0")
        machine.commitSucceeded(at: .start + .seconds(20))
        #expect(next(at: .seconds(20)) == "publish 0")
        #expect(next(at: .seconds(20)) == "finish []")
        #expect(machine.nextDeadline == .start + .seconds(40))
    }

    @Test mutating func `ends after a fatal failure without finishing the messages`() {
        receive(1, delivery: 1)
        #expect(next() == "commit 1")
        machine.commitFailed(isFatal: true, at: .start)
        #expect(next() == "close after failure")
        #expect(next() == nil)
        #expect(!machine.isActive)
    }

    @Test mutating func `gives up a batch at the end of a stop if the store does not work`() {
        receive(1, delivery: 1)
        #expect(next() == "commit 1")
        machine.commitFailed(isFatal: false, at: .start)
        _ = machine.stop(at: .start)
        #expect(next() == "retry 1")
        machine.commitFailed(isFatal: false, at: .start + .seconds(2))
        #expect(next(at: .seconds(3)) == "abandon consumer")
        #expect(next(at: .seconds(3)) == "stop publishing")
        #expect(next(at: .seconds(3)) == "close after failure")
    }

    @Test mutating func `flushes the clients and records what they accepted before it ends`() {
        let (first, second) = (machine.stop(at: .start), machine.stop(at: .start))
        #expect(first && !second)
        #expect(next(areClientsIdle: false) == nil)
        machine.consumerStopped()
        #expect(next(areClientsIdle: false) == "flush")
        #expect(next(areClientsIdle: false) == nil)
        machine.callAccepted(by: 1, [PlayCount(of: video(1), 1)], at: .start)
        #expect(next() == "commit 0, accepted 1")
        machine.commitSucceeded(at: .start)
        #expect(next() == "publish 0")
        #expect(next() == "finish []")
        #expect(next() == "close")
    }

    @Test
    mutating func `abandons nsqd after half of the stop timeout, and clients after all of it`() {
        _ = machine.stop(at: .start)
        #expect(machine.nextDeadline == .start + .milliseconds(1500))
        #expect(next(at: .milliseconds(1500), areClientsIdle: false) == "abandon consumer")
        #expect(machine.nextDeadline == .start + .seconds(3))
        machine.consumerStopped()
        #expect(next(at: .seconds(2), areClientsIdle: false) == "flush")
        #expect(next(at: .seconds(3), areClientsIdle: false) == "stop publishing")
        #expect(next(at: .seconds(3), areClientsIdle: false) == "close")
    }

    private mutating func receive(
        _ index: Int, delivery: Int, limit: Int = 1_000, at time: Duration = .zero
    ) {
        fingerprints += 1
        let key = (UInt64(fingerprints), UInt64(0))
        let fingerprint = Fingerprinter(key: key).source(nsqd: "", topic: plays)
        let isNew = machine.count(Play(of: video(index)), fingerprint, at: .start + time)
        #expect(isNew)
        machine.append(
            delivery, messages: 1, limit: limit, publishedAt: .start + time, at: .start + time)
    }

    /// The next action in words.
    private mutating func next(
        at time: Duration = .zero, areClientsIdle: Bool = true
    ) -> String? {
        let action = machine.nextAction(at: .start + time, areClientsIdle: areClientsIdle)
        return switch action {
        case .batch(.commit(let commit)):
            "commit \(commit.changes.count)"
                + (commit.accepted.isEmpty ? "" : ", accepted \(commit.accepted.count)")
        case .batch(.retryCommit(let commit)): "retry \(commit.changes.count)"
        case .batch(.publish(let changes)): "publish \(changes.count)"
        case .batch(.finish(let deliveries)): "finish \(deliveries)"
        case .abandonConsumer: "abandon consumer"
        case .flushClients: "flush"
        case .stopPublishing: "stop publishing"
        case .close(let hasFailed): hasFailed ? "close after failure" : "close"
        case nil: nil
        }
    }
}
