import Foundation
import NSQBroker
import NSQClient
import PlayCounts
import Testing
import UVLoop

@Suite(.timeLimit(.minutes(5))) struct `A processor` {
    @Test func `commits, then calls, then finishes`() async throws {
        var storedAtCall: [[Int]] = []
        let left = try await onStage { stage in
            stage.onEvent = { event in
                switch event {
                case .called:
                    storedAtCall.append((try? stage.store.load().map(\.count)) ?? [])
                    #expect(stage.consumer.inFlight == 3)
                case .finished: stage.stop()
                default: break
                }
                if event == .finished(3) {
                    #expect(
                        stage.events == [
                            .received(video(1)), .received(video(1)), .received(video(1)),
                            .committed([PlayCount(of: video(1), 3)]),
                            .called([PlayCount(of: video(1), 3)]),
                            .finished(3),
                        ])
                }
            }
            stage.start()
            stage.publish([1, 1, 1])
        }
        #expect(storedAtCall == [[3]])
        #expect(left.messages + left.requeued == 0)
    }

    @Test func `has what comes in during a commit share the next one`() async throws {
        let gate = DispatchSemaphore(value: 0)
        try await onStage { stage in
            // The store is busy until the gate opens.
            stage.store.commit([]) { _ in gate.wait() }
            var received = 0
            stage.onEvent = { event in
                switch event {
                case .received:
                    received += 1
                    if received < 6 { stage.publish([received]) } else { gate.signal() }
                case .finished where stage.finished == 6:
                    #expect(
                        stage.events.compactMap {
                            if case .committed(let counts) = $0 { counts.count } else { nil }
                        } == [1, 5])
                    #expect(stage.count { if case .called = $0 { true } else { false } } == 2)
                    stage.stop()
                default: break
                }
            }
            stage.start()
            stage.publish([0])
        }
    }

    @Test func `catches up after a restart with what was not published`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 700), change(2, count: 800)])
        try await store.commit([], published: [PlayCount(of: video(2), 800)])
        try await onStage(store: store) { stage in
            stage.client.onCall = { call in
                #expect(call.counts == [PlayCount(of: video(1), 700)])
                stage.stop()
            }
            stage.start()
        }
        #expect(try store.load().allSatisfy { $0.published == $0.count })
    }

    @Test func `goes on with the counts of the store`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 41)], published: [PlayCount(of: video(1), 41)])
        try await onStage(store: store) { stage in
            stage.onEvent = { if case .finished = $0 { stage.stop() } }
            stage.start()
            stage.publish([1])
        }
        #expect(try store.load() == [.init(of: video(1), 42, published: 42)])
    }

    @Test func `leaves messages with NSQ when the store fails`() async throws {
        let store = try PlayStore(.temporary())
        try store.limitPages(to: 1)
        let left = try await onStage(store: store) { stage in
            stage.onEvent = { event in
                guard case .failed(let kind) = event else { return }
                #expect(kind == .full)
                stage.loop.stop()
            }
            stage.start()
            stage.publish(Array(0..<1_000))
        }
        // Given back when the connection ended.
        #expect(left.messages == 1_000)
        #expect(try store.load() == [])
    }
}

@Suite(.timeLimit(.minutes(5))) struct `A play that comes again` {
    @Test func `counts once when it was published twice under one name`() async throws {
        let store = try PlayStore(.memory)
        let left = try await onStage(store: store) { stage in
            stage.onEvent = { event in
                guard case .finished = event, stage.finished == 5 else { return }
                #expect(stage.processor.statistics.counted == 3)
                #expect(stage.processor.statistics.repeated == 2)
                stage.stop()
            }
            stage.start()
            stage.publish([play(1, named: "a"), play(1, named: "b"), play(2, named: "a")])
            stage.publish([play(1, named: "b"), play(2, named: "a")])
        }
        #expect(try Set(store.load().map(\.count)) == [2, 1])
        #expect(left.messages == 0)
    }

    @Test func `counts every time when it has no name`() async throws {
        let store = try PlayStore(.memory)
        try await onStage(store: store) { stage in
            stage.onEvent = { _ in if stage.finished == 4 { stage.stop() } }
            stage.start()
            stage.publish([play(1), play(1)])
            stage.publish([play(1), play(1)])
        }
        #expect(try store.load().map(\.count) == [4])
    }

    @Test(arguments: [nil, "named"] as [String?])
    func `counts once when it was committed and not finished, after a restart too`(
        name: String?
    ) async throws {
        let store = try PlayStore(.memory)
        let broker = try await startBroker()
        let bodies = (0..<100).map { name == nil ? play($0) : play($0, named: "a") }
        let left = try await onStage(broker: broker, store: store) { stage in
            stage.onEvent = { event in
                guard case .committed = event else { return }
                // The connection is gone before a FIN.
                stage.consumer.abandon()
                stage.loop.stop()
            }
            stage.start()
            stage.publish(bodies)
        }
        #expect(left.messages == 100)
        let rest = try await onStage(broker: broker, store: store) { stage in
            stage.onEvent = { _ in
                guard stage.finished == 100 else { return }
                #expect(stage.processor.statistics.repeated == 100)
                #expect(stage.processor.statistics.counted == 0)
                stage.stop()
            }
            stage.start()
        }
        #expect(rest.messages == 0)
        #expect(try store.load().map(\.count) == Array(repeating: 1, count: 100))
        await broker.stop()
    }

    @Test func `counts once when its time is up before the commit`() async throws {
        let gate = DispatchSemaphore(value: 0)
        let store = try PlayStore(.memory)
        let broker = try await startBroker(messageTimeout: .milliseconds(200))
        let left = try await onStage(broker: broker, store: store) { stage in
            // The store is busy until they have come again.
            stage.store.commit([]) { _ in gate.wait() }
            stage.onEvent = { event in
                if case .repeated = event, stage.processor.statistics.repeated == 50 {
                    gate.signal()
                }
                if stage.finished >= 100 { stage.stop() }
            }
            stage.start()
            stage.publish((0..<50).map { play($0) })
        }
        #expect(left.messages == 0)
        #expect(try store.load().map(\.count) == Array(repeating: 1, count: 50))
        await broker.stop()
    }
}

@Suite(.timeLimit(.minutes(5))) struct `A client that refuses calls` {
    @Test func `gets newer totals when it is back`() async throws {
        try await onStage { stage in
            stage.client.mood = .refuses
            stage.onEvent = { event in
                switch event {
                case .finished where stage.finished < 5: stage.publish([1])
                case .finished: stage.client.mood = .takes
                case .called(let counts):
                    #expect(counts == [PlayCount(of: video(1), 5)])
                    stage.stop()
                default: break
                }
            }
            stage.start()
            stage.publish([1])
        }
    }

    @Test func `is asked again after a pause that grows with every round, not every call`()
        async throws
    {
        try await onStage {
            $0.shortestRetry = .milliseconds(20)
            $0.publisher.videosPerCall = 1
        } _: { stage in
            stage.client.mood = .refuses
            stage.onEvent = { event in
                guard case .finished = event else { return }
                let timer = Timer(on: stage.loop)
                timer.start(after: .milliseconds(200)) {
                    // Ten at once, then one to see, after 20, 60 and 140 ms.
                    #expect(stage.client.refusals.count == 13)
                    stage.client.mood = .takes
                    stage.stop()
                }
            }
            stage.start()
            stage.publish(Array(0..<10))
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct `A processor that is stopped` {
    @Test func `commits, publishes, notes what was published, and finishes`() async throws {
        let store = try PlayStore(.memory)
        let left = try await onStage(store: store) { stage in
            stage.onEvent = { event in
                // From a hundred on nothing is due for a minute.
                if case .received = event, stage.events.count == 300 { stage.stop() }
            }
            stage.start()
            stage.publish(Array(repeating: 1, count: 300))
        }
        #expect(try store.load() == [.init(of: video(1), 300, published: 300)])
        #expect(left.messages == 0)
    }

    @Test func `publishes all that waits in as few calls as it can`() async throws {
        let store = try PlayStore(.memory)
        let known = (0..<40).map { change($0, count: 100) }
        try await store.commit(known)
        try await store.commit([], published: known.map { PlayCount(of: $0.videoID, 100) })
        var calls: [Int] = []
        try await onStage(store: store) { stage in
            stage.onEvent = { event in
                if case .finished = event, stage.finished == 400 { stage.stop() }
            }
            stage.processor.observer.called = { _, call, _ in calls.append(call.videos.count) }
            stage.start()
            stage.publish((0..<400).map { $0 % 40 })
        }
        #expect(calls == [20, 20])
    }

    @Test func `ends while nothing was ever connected`() throws {
        for address in [nobody, "127.0.0.1:1"] {
            try onLoop(within: .seconds(3)) { loop in
                let stage = try ProcessorStage(
                    on: loop, nsqd: SocketAddress(parsing: address), store: PlayStore(.memory))
                stage.start()
                let timer = Timer(on: loop)
                timer.start(after: .milliseconds(20)) { stage.stop() }
            }
        }
    }

    @Test func `ends before it was started`() throws {
        try onLoop(within: .seconds(3)) { loop in
            let stage = try ProcessorStage(
                on: loop, nsqd: SocketAddress(parsing: nobody), store: PlayStore(.memory))
            stage.stop()
        }
    }

    /// An address from the block kept for documentation: packets to it get no answer.
    private let nobody = "192.0.2.1:4150"

    @Test(arguments: [FakeClient.Mood.refuses, .isSilent])
    func `does not wait for its client for ever`(mood: FakeClient.Mood) async throws {
        let store = try PlayStore(.memory)
        let left = try await onStage(store: store) {
            $0.longestStop = .milliseconds(300)
        } _: { stage in
            stage.client.mood = mood
            stage.onEvent = { if case .finished = $0 { stage.stop() } }
            stage.start()
            stage.publish([1, 1, 2])
        }
        #expect(left.messages == 0)
        #expect(try store.load().map(\.published) == [0, 0])
    }

    @Test func `tries a client once more that refused before`() async throws {
        let store = try PlayStore(.memory)
        try await onStage(store: store) {
            $0.shortestRetry = .seconds(30)
        } _: { stage in
            stage.client.mood = .refuses
            stage.onEvent = { event in
                guard case .finished = event else { return }
                stage.client.mood = .takes
                stage.stop()
            }
            stage.start()
            stage.publish([1])
        }
        #expect(try store.load().map(\.published) == [1])
    }

    @Test func `ends when the store fails meanwhile`() async throws {
        let store = try PlayStore(.temporary())
        try store.limitPages(to: 1)
        let left = try await onStage(store: store) { stage in
            stage.onEvent = { if case .received = $0 { stage.stop() } }
            stage.start()
            stage.publish(Array(0..<1_000))
        }
        #expect(left.messages == 1_000)
    }

    @Test func `tells everyone who asked for it`() async throws {
        var told = 0
        try await onStage { stage in
            stage.onEvent = { event in
                guard case .finished = event else { return }
                for _ in 0..<3 {
                    stage.processor.stop {
                        told += 1
                        if told == 3 { stage.stop() }
                    }
                }
            }
            stage.start()
            stage.publish([1])
        }
        #expect(told == 3)
    }
}
