import Foundation
import NSQBroker
import NSQClient
import PlayCounts
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The processor` {
    @Test func `commits, then publishes, then finishes`() async throws {
        var storedAtCall: [[Int]] = []
        let left = try await withProcessor { fixture in
            fixture.onEvent = { event in
                switch event {
                case .called:
                    storedAtCall.append((try? fixture.store.loadCounts().map(\.count)) ?? [])
                    #expect(fixture.consumer.inFlight == 3)
                case .finished: fixture.stop()
                default: break
                }
                if event == .finished(3) {
                    #expect(
                        fixture.events == [
                            .received(video(1)), .received(video(1)), .received(video(1)),
                            .committed([PlayCount(of: video(1), 3)]),
                            .called([PlayCount(of: video(1), 3)]),
                            .finished(3),
                        ])
                }
            }
            fixture.start()
            fixture.publish([1, 1, 1])
        }
        #expect(storedAtCall == [[3]])
        #expect(left.messages + left.requeued == 0)
    }

    @Test func `commits the plays that arrive during a commit together`() async throws {
        let gate = DispatchSemaphore(value: 0)
        try await withProcessor { fixture in
            // Blocks the store until the gate is signaled.
            fixture.store.commit([]) { _ in gate.wait() }
            var received = 0
            fixture.onEvent = { event in
                switch event {
                case .received:
                    received += 1
                    if received < 6 { fixture.publish([received]) } else { gate.signal() }
                case .finished where fixture.finished == 6:
                    #expect(
                        fixture.events.compactMap {
                            if case .committed(let counts) = $0 { counts.count } else { nil }
                        } == [1, 5])
                    #expect(fixture.count { if case .called = $0 { true } else { false } } == 2)
                    fixture.stop()
                default: break
                }
            }
            fixture.start()
            fixture.publish([0])
        }
    }

    @Test func `publishes after a restart what was not published before`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 700), change(2, count: 800)])
        try await store.commit([], published: [PlayCount(of: video(2), 800)])
        try await withProcessor(store: store) { fixture in
            fixture.client.onCall = { call in
                #expect(call.counts == [PlayCount(of: video(1), 700)])
                fixture.stop()
            }
            fixture.start()
        }
        #expect(try store.loadCounts().allSatisfy { $0.published == $0.count })
    }

    @Test func `continues with the counts of the store`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 41)], published: [PlayCount(of: video(1), 41)])
        try await withProcessor(store: store) { fixture in
            fixture.onEvent = { if case .finished = $0 { fixture.stop() } }
            fixture.start()
            fixture.publish([1])
        }
        #expect(try store.loadCounts() == [.init(of: video(1), 42, published: 42)])
    }

    @Test func `keeps a batch while the store is full, and continues when there is space`()
        async throws
    {
        let store = try PlayStore(.temporary())
        try store.limitPages(to: 1)
        let left = try await withProcessor(store: store) {
            $0.minStoreRetryDelay = .milliseconds(10)
        } _: { fixture in
            fixture.onEvent = { event in
                switch event {
                case .storeFailed(let kind):
                    #expect(kind == .full)
                    #expect(fixture.consumer.maxInFlight == 0)
                    #expect(fixture.processor.statistics.counted == 0)
                    #expect(fixture.finished == 0)
                    #expect(throws: Never.self) { try store.limitPages(to: 1_000_000) }
                case .storeRecovered: #expect(fixture.consumer.maxInFlight == 1_000)
                case .finished where fixture.finished == 1_000: fixture.stop()
                default: break
                }
            }
            fixture.start()
            fixture.publish(Array(0..<1_000))
        }
        #expect(left.messages == 0)
        #expect(try store.loadCounts().count == 1_000)
    }

    @Test func `ends without finishing messages when another processor opens the store`()
        async throws
    {
        let store = try PlayStore(.temporary())
        let left = try await withProcessor(store: store) { fixture in
            fixture.onEvent = { event in
                guard case .failed(let kind) = event else { return }
                #expect(kind == .takenOver)
                fixture.loop.stop()
            }
            fixture.start()
            try store.simulateTakeover()
            fixture.publish([1, 2, 3])
        }
        #expect(left.messages == 3)
        #expect(try store.loadCounts() == [])
    }
}

@Suite(.blocking, .timeLimit(.minutes(15))) struct `A duplicate play` {
    @Test func `counts once if it was published twice with one play ID`() async throws {
        let store = try PlayStore(.memory)
        let left = try await withProcessor(store: store) { fixture in
            fixture.onEvent = { event in
                guard case .finished = event, fixture.finished == 5 else { return }
                #expect(fixture.processor.statistics.counted == 3)
                #expect(fixture.processor.statistics.duplicates == 2)
                fixture.stop()
            }
            fixture.start()
            fixture.publish([play(1, named: "a"), play(1, named: "b"), play(2, named: "a")])
            fixture.publish([play(1, named: "b"), play(2, named: "a")])
        }
        #expect(try Set(store.loadCounts().map(\.count)) == [2, 1])
        #expect(left.messages == 0)
    }

    @Test func `counts each time if it has no play ID`() async throws {
        let store = try PlayStore(.memory)
        try await withProcessor(store: store) { fixture in
            fixture.onEvent = { _ in if fixture.finished == 4 { fixture.stop() } }
            fixture.start()
            fixture.publish([play(1), play(1)])
            fixture.publish([play(1), play(1)])
        }
        #expect(try store.loadCounts().map(\.count) == [4])
    }

    @Test(arguments: [nil, "named"] as [String?])
    func `counts once if it is redelivered after a commit, even to another process`(
        name: String?
    ) async throws {
        let store = try PlayStore(.memory)
        let broker = try await startBroker()
        let bodies = (0..<100).map { name == nil ? play($0) : play($0, named: "a") }
        let left = try await withProcessor(broker: broker, store: store) { fixture in
            fixture.onEvent = { event in
                guard case .committed = event else { return }
                // Closes the connection before FIN is sent.
                fixture.consumer.abandon()
                fixture.loop.stop()
            }
            fixture.start()
            fixture.publish(bodies)
        }
        #expect(left.messages == 100)
        let rest = try await withProcessor(broker: broker, store: store) { fixture in
            fixture.onEvent = { _ in
                guard fixture.finished == 100 else { return }
                #expect(fixture.processor.statistics.duplicates == 100)
                #expect(fixture.processor.statistics.counted == 0)
                fixture.stop()
            }
            fixture.start()
        }
        #expect(rest.messages == 0)
        #expect(try store.loadCounts().map(\.count) == Array(repeating: 1, count: 100))
        await broker.stop()
    }

    @Test func `counts once if its message times out before the commit`() async throws {
        let gate = DispatchSemaphore(value: 0)
        let store = try PlayStore(.memory)
        let broker = try await startBroker(messageTimeout: .milliseconds(200))
        let left = try await withProcessor(broker: broker, store: store) { fixture in
            // Blocks the store until the messages are redelivered.
            fixture.store.commit([]) { _ in gate.wait() }
            fixture.onEvent = { event in
                let repeated = fixture.count { if case .repeated = $0 { true } else { false } }
                if case .repeated = event, repeated == 50 { gate.signal() }
                if fixture.finished >= 100 { fixture.stop() }
            }
            fixture.start()
            fixture.publish((0..<50).map { play($0) })
        }
        #expect(left.messages == 0)
        #expect(try store.loadCounts().map(\.count) == Array(repeating: 1, count: 50))
        await broker.stop()
    }
}

@Suite(.blocking, .timeLimit(.minutes(15)))
struct `The processor, with a client that refuses calls,` {
    @Test func `publishes the newest total when the client is back`() async throws {
        try await withProcessor { fixture in
            fixture.client.behavior = .refuses
            fixture.onEvent = { event in
                switch event {
                case .finished where fixture.finished < 5: fixture.publish([1])
                case .finished: fixture.client.behavior = .accepts
                case .called(let counts):
                    #expect(counts == [PlayCount(of: video(1), 5)])
                    fixture.stop()
                default: break
                }
            }
            fixture.start()
            fixture.publish([1])
        }
    }

    @Test func `retries after a delay that grows with each round, not with each call`()
        async throws
    {
        try await withProcessor(clock: .manual) {
            $0.minRetryDelay = .milliseconds(20)
            $0.scheduler.videosPerCall = 1
        } _: { fixture in
            fixture.client.behavior = .refuses
            fixture.onEvent = { event in
                guard case .finished = event else { return }
                #expect(fixture.client.refusals.count == 10)
                fixture.loop.advance(milliseconds: 200) {
                    // The client refuses ten calls at once, and then a single call after 20, 60 and
                    // 140 ms.
                    #expect(fixture.client.refusals.count == 13)
                    fixture.client.behavior = .accepts
                    fixture.stop()
                }
            }
            fixture.start()
            fixture.publish(Array(0..<10))
        }
    }
}

@Suite(.blocking, .timeLimit(.minutes(15))) struct `A stopping processor` {
    @Test func `commits, publishes, records the accepted counts, and finishes`() async throws {
        let store = try PlayStore(.memory)
        let left = try await withProcessor(store: store) { fixture in
            fixture.onEvent = { event in
                // From the hundredth play on, no count is due for a minute.
                if case .received = event, fixture.events.count == 300 { fixture.stop() }
            }
            fixture.start()
            fixture.publish(Array(repeating: 1, count: 300))
        }
        #expect(try store.loadCounts() == [.init(of: video(1), 300, published: 300)])
        #expect(left.messages == 0)
    }

    @Test func `publishes all pending counts in as few calls as possible`() async throws {
        let store = try PlayStore(.memory)
        let known = (0..<40).map { change($0, count: 100) }
        try await store.commit(known)
        try await store.commit([], published: known.map { PlayCount(of: $0.videoID, 100) })
        var calls: [Int] = []
        try await withProcessor(store: store) { fixture in
            fixture.onEvent = { event in
                if case .finished = event, fixture.finished == 400 { fixture.stop() }
            }
            fixture.processor.observer.accepted = { _, call, _ in calls.append(call.videos.count) }
            fixture.start()
            fixture.publish((0..<400).map { $0 % 40 })
        }
        #expect(calls == [20, 20])
    }

    @Test func `stops if it was never connected`() throws {
        // The manual clock does not advance, so a stop that waits for the end of a connection attempt
        // would hang.
        try onLoop(clock: .manual, within: 60) { loop in
            let fixture = try ProcessorFixture(
                on: loop, nsqd: SocketAddress(parsing: unreachable), store: PlayStore(.memory))
            fixture.start()
            loop.runInNextIteration { fixture.stop() }
        }
        try onLoop(clock: .manual) { loop in
            let fixture = try ProcessorFixture(
                on: loop, nsqd: SocketAddress(parsing: "127.0.0.1:1"), store: PlayStore(.memory))
            fixture.consumer.onConnection = { _, error in
                #expect(error?.code == .unreachable)
                fixture.stop()
            }
            fixture.start()
        }
    }

    @Test func `stops if it was not started`() throws {
        try onLoop(clock: .manual) { loop in
            let fixture = try ProcessorFixture(
                on: loop, nsqd: SocketAddress(parsing: unreachable), store: PlayStore(.memory))
            fixture.stop()
        }
    }

    /// An address from the block for documentation; packets to it get no response.
    private let unreachable = "192.0.2.1:4150"

    @Test(arguments: [FakeClient.Behavior.refuses, .doesNotRespond])
    func `waits for its client at most for the stop timeout`(mood: FakeClient.Behavior) async throws
    {
        let store = try PlayStore(.memory)
        let left = try await withProcessor(store: store) {
            $0.stopTimeout = .milliseconds(300)
        } _: { fixture in
            fixture.client.behavior = mood
            fixture.onEvent = { if case .finished = $0 { fixture.stop() } }
            fixture.start()
            fixture.publish([1, 1, 2])
        }
        #expect(left.messages == 0)
        #expect(try store.loadCounts().map(\.published) == [0, 0])
    }

    @Test func `makes one more attempt with a client that refused before`() async throws {
        let store = try PlayStore(.memory)
        try await withProcessor(store: store) {
            $0.minRetryDelay = .seconds(30)
        } _: { fixture in
            fixture.client.behavior = .refuses
            fixture.onEvent = { event in
                guard case .finished = event else { return }
                fixture.client.behavior = .accepts
                fixture.stop()
            }
            fixture.start()
            fixture.publish([1])
        }
        #expect(try store.loadCounts().map(\.published) == [1])
    }

    @Test func `stops if the store fails meanwhile`() async throws {
        let store = try PlayStore(.temporary())
        try store.limitPages(to: 1)
        let left = try await withProcessor(store: store) {
            $0.stopTimeout = .milliseconds(300)
        } _: { fixture in
            fixture.onEvent = { if case .received = $0 { fixture.stop() } }
            fixture.start()
            fixture.publish(Array(0..<1_000))
        }
        #expect(left.messages == 1_000)
    }

    @Test func `calls every completion handler`() async throws {
        var completions = 0
        try await withProcessor { fixture in
            fixture.onEvent = { event in
                guard case .finished = event else { return }
                for _ in 0..<3 {
                    fixture.processor.stop {
                        completions += 1
                        if completions == 3 { fixture.stop() }
                    }
                }
            }
            fixture.start()
            fixture.publish([1])
        }
        #expect(completions == 3)
    }
}
