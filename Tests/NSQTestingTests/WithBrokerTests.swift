import Foundation
import Logging
import NSQBroker
import NSQClient
import NSQTesting
import TestKit
import Testing

@Suite(.timeLimit(.minutes(15))) struct `A broker for a test` {
    @Test func `exchanges messages with the clients that it creates`() async throws {
        try await withBroker { broker in
            let recording = try await broker.record("plays")
            let producer = try broker.producer()
            try await producer.publish("one".utf8, to: "plays")
            try await producer.publish("two".utf8, to: "plays")
            #expect(try await recording.next(2) == ["one", "two"].map { Array($0.utf8) })
        }
    }

    @Test func `returns the result of the test, and stops after an error`() async throws {
        struct Failure: Error {}
        #expect(try await withBroker { _ in 7 } == 7)
        var address = ""
        await #expect(throws: Failure.self) {
            try await withBroker { broker in
                address = broker.tcpAddress
                throw Failure()
            }
        }
        let producer = try Producer(nsqd: address)
        await #expect(throws: NSQError.self) { try await producer.publish([1], to: "plays") }
        await producer.stop()
    }

    @Test func `stops while its time stands still and a client keeps its connection`()
        async throws
    {
        let folder = try TemporaryFolder()
        var configuration = EmbeddedBroker.Configuration()
        configuration.tcpAddress = folder.path("tcp")
        configuration.logger.logLevel = .critical
        let client = try await withBroker(configuration, clock: .manual) { _ in
            let client = try BlockingSocket(to: folder.path("tcp"))
            client.send("  V2what\n")
            #expect(
                String(decoding: client.receive(atMost: 100), as: UTF8.self).contains("E_INVALID"))
            return client
        }
        #expect(client.receiveAll() == [])
    }

    @Test func `lets an hour pass at once`() async throws {
        try await withBroker(clock: .manual) { broker in
            try await broker.embedded.createChannel("sent", of: "mails")
            let producer = try broker.producer()
            try await producer.publish("later".utf8, to: "mails", after: .seconds(3_000))
            await broker.advance(by: .seconds(2_999))
            #expect(await broker.channel("sent", of: "mails")?.deferredCount == 1)
            await broker.advance(by: .seconds(1))
            #expect(await broker.channel("sent", of: "mails")?.depth == 1)
        }
    }

    @Test func `requeues a message at its timeout`() async throws {
        try await withBroker(clock: .manual) { broker in
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let producer = try broker.producer()
            try await producer.publish("play".utf8, to: "plays")
            for await batch in consumer.batches {
                #expect(batch.map(\.attempts) == [1])
                break
            }
            await broker.advance(by: .seconds(59))
            #expect(await broker.channel("counts", of: "plays")?.timeoutCount == 0)
            await broker.advance(by: .seconds(2))
            #expect(await broker.channel("counts", of: "plays")?.timeoutCount == 1)
        }
    }

    @Test func `has consumers that return only the last delivery of a message that timed out`()
        async throws
    {
        try await withBroker(clock: .manual) { broker in
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let producer = try broker.producer()
            var batch = PublishBatch()
            for body in ["a", "b", "c"] { batch.append(body.utf8) }
            try await producer.publish(batch, to: "plays")
            // The other messages stay in the consumer's queue until they time out.
            let first = try await consumer.next()
            await broker.advance(by: .seconds(62))
            var attempts: [Int] = []
            for _ in 0..<3 {
                guard let delivery = try await consumer.next() else { break }
                attempts.append(delivery.attempts)
                delivery.finish()
            }
            #expect(attempts == [2, 2, 2])
            if let first { first.finish() }
            #expect(await broker.channel("counts", of: "plays")?.timeoutCount == 3)
        }
    }

    @Test func `keeps its clients connected over many heartbeats`() async throws {
        try await withBroker(clock: .manual) { broker in
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            try await consumer.connected()
            await broker.advance(by: .seconds(600))
            #expect(await broker.channel("counts", of: "plays")?.clientCount == 1)
        }
    }

    @Test func `delivers messages in flight again after a disconnect`() async throws {
        try await withBroker { broker in
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let producer = try broker.producer()
            try await producer.publish("play".utf8, to: "plays")
            var attempts: [Int] = []
            for await batch in consumer.batches {
                attempts += batch.map(\.attempts)
                if attempts.count == 1 {
                    await broker.cut()
                } else {
                    consumer.finish(batch)
                    break
                }
            }
            #expect(attempts == [1, 2])
            try await broker.waitUntilDrained("counts", of: "plays")
        }
    }

    @Test func `restarts at its address, with messages if it has a data path`() async throws {
        let folder = try TemporaryFolder()
        for dataPath in [nil, folder.url.path] {
            var configuration = EmbeddedBroker.Configuration()
            configuration.dataPath = dataPath
            configuration.logger.logLevel = .error
            try await withBroker(configuration) { broker in
                try await broker.embedded.createChannel("counts", of: "plays")
                let producer = try broker.producer()
                try await producer.publish("play".utf8, to: "plays")
                try await broker.restart()
                let channel = await broker.channel("counts", of: "plays")
                #expect(channel?.depth == (dataPath == nil ? nil : 1))
            }
        }
    }

    @Test func `reports what a wait was for`() async throws {
        try await withBroker { broker in
            let error = await #expect(throws: TimedOut.self) {
                try await broker.wait(until: "there is a topic", timeout: .milliseconds(1)) {
                    !$0.topics.isEmpty
                }
            }
            #expect(
                error?.description.hasPrefix("timed out waiting until there is a topic") == true)
        }
    }

    @Test func `runs beside 49 others`() async throws {
        try await withThrowingTaskGroup { group in
            for number in 0..<50 {
                group.addTask {
                    try await withBroker { broker in
                        let recording = try await broker.record("plays")
                        let producer = try broker.producer()
                        try await producer.publish("play \(number)".utf8, to: "plays")
                        #expect(try await recording.next() == [Array("play \(number)".utf8)])
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

@Suite(.timeLimit(.minutes(15))) struct `The administration of an embedded broker` {
    @Test func `creates, pauses, empties and deletes topics and channels`() async throws {
        try await withBroker { broker in
            let embedded = broker.embedded
            try await embedded.createChannel("counts", of: "plays")
            try await embedded.pauseTopic("plays")
            let producer = try broker.producer()
            try await producer.publish("play".utf8, to: "plays")
            #expect(await broker.statistics().topics.map(\.depth) == [1])
            try await embedded.emptyTopic("plays")
            #expect(await broker.statistics().topics.map(\.depth) == [0])
            try await embedded.resumeTopic("plays")
            try await embedded.pauseChannel("counts", of: "plays")
            try await producer.publish("play".utf8, to: "plays")
            #expect(await broker.channel("counts", of: "plays")?.isPaused == true)
            #expect(await broker.channel("counts", of: "plays")?.depth == 1)
            try await embedded.emptyChannel("counts", of: "plays")
            #expect(await broker.channel("counts", of: "plays")?.depth == 0)
            try await embedded.resumeChannel("counts", of: "plays")
            #expect(await broker.channel("counts", of: "plays")?.isPaused == false)
            try await embedded.deleteChannel("counts", of: "plays")
            try await embedded.deleteTopic("plays")
            #expect(await broker.statistics().topics.isEmpty)
        }
    }

    @Test func `reports invalid and unknown names`() async throws {
        typealias Failure = EmbeddedBroker.AdministrationError
        try await withBroker { broker in
            let embedded = broker.embedded
            await #expect(throws: Failure.invalidName(topic: "a b")) {
                try await embedded.createTopic("a b")
            }
            await #expect(throws: Failure.invalidName(channel: "")) {
                try await embedded.createChannel("", of: "plays")
            }
            await #expect(throws: Failure.topicNotFound("none")) {
                try await embedded.deleteTopic("none")
            }
            await #expect(throws: Failure.topicNotFound("none")) {
                try await embedded.pauseChannel("counts", of: "none")
            }
            let error = await #expect(throws: Failure.self) {
                try await embedded.emptyChannel("none", of: "plays")
            }
            #expect(error?.code == .channelNotFound)
            #expect(error?.topic == "plays")
            #expect(error?.channel == "none")
            #expect(error?.description == "the topic “plays” has no channel “none”")
            await embedded.stop()
            await #expect(throws: Failure.stopped) { try await embedded.createTopic("plays") }
        }
    }
}
