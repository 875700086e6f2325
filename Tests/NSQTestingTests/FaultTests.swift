import Foundation
import Logging
import NSQBroker
import NSQClient
import NSQTesting
import Synchronization
import TestKit
import Testing

/// The number of publishes that have received an answer.
private final class AnswerCount: Sendable {
    let value = Mutex(0)
}

private func bytes(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }

@Suite(.timeLimit(.minutes(15))) struct `The messages that were published to a test broker` {
    @Test func `are those of all commands, in their order`() async throws {
        try await withBroker { broker in
            let producer = try broker.producer()
            try await producer.publish("one", to: "plays")
            var batch = PublishBatch()
            for body in ["two", "three"] { batch.append(body.utf8) }
            try await producer.publish(batch, to: "plays")
            try await producer.publish("four".utf8, to: "plays", after: .seconds(60))
            try await producer.publish("other", to: "calls")
            #expect(
                try await broker.published(to: "plays") == bytes("one", "two", "three", "four"))
            #expect(try await broker.published(to: "calls") == bytes("other"))
            #expect(try await broker.published(to: "none") == [])
        }
    }

    @Test func `include those that were consumed, and those before a restart`() async throws {
        let folder = try TemporaryFolder()
        var configuration = EmbeddedBroker.Configuration()
        configuration.dataPath = folder.url.path
        configuration.logger.logLevel = .error
        try await withBroker(configuration) { broker in
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let producer = try broker.producer(options: republishing)
            try await producer.publish("one", to: "plays")
            if let delivery = try await consumer.next() { delivery.finish() }
            try await broker.waitUntilDrained("counts", of: "plays")
            try await producer.publish("two", to: "plays")
            await consumer.stop()
            try await broker.restart()
            // The broker has recovered the message `two` from its data path. It still counts as
            // published once.
            #expect(try await broker.published(to: "plays") == bytes("one", "two"))
            try await producer.publish("three", to: "plays")
            #expect(try await broker.published(to: "plays") == bytes("one", "two", "three"))
        }
    }

    @Test func `include those that the topic has discarded`() async throws {
        try await withBroker { broker in
            let producer = try broker.producer()
            try await producer.publish("one", to: "plays")
            try await broker.embedded.emptyTopic("plays")
            try await producer.publish("two", to: "plays")
            try await broker.embedded.deleteTopic("plays")
            try await producer.publish("three", to: "plays")
            #expect(try await broker.published(to: "plays") == bytes("one", "two", "three"))
        }
    }

    @Test func `fill many segments`() async throws {
        try await withBroker { broker in
            let producer = try broker.producer()
            let body = [UInt8](repeating: 7, count: 10_000)
            for _ in 0..<20 {
                try await producer.publish(
                    PublishBatch(Array(repeating: body, count: 100)), to: "plays")
            }
            #expect(
                try await broker.published(to: "plays") == Array(repeating: body, count: 2_000))
        }
    }

    @Test func `are kept up to a number of bytes`() throws {
        let published = PublishedMessages(maxBytes: 3)
        published.append([1, 2], to: "plays")
        published.append([3], to: "calls")
        #expect(try published.bodies(of: "plays") == [[1, 2]])
        published.append([4], to: "plays")
        let error = #expect(throws: TooManyPublishedMessages.self) {
            try published.bodies(of: "calls")
        }
        #expect(error?.description.hasPrefix("more than 3 bytes were published") == true)
    }

    @Test func `can be waited for`() async throws {
        try await withBroker { broker in
            let producer = try broker.producer()
            async let published = broker.published(to: "plays", count: 3)
            for body in ["one", "two", "three"] { try await producer.publish(body, to: "plays") }
            #expect(try await published == bytes("one", "two", "three"))
            let error = await #expect(throws: TimedOut.self) {
                try await broker.published(to: "plays", count: 4, timeout: .milliseconds(1))
            }
            #expect(error?.condition == "4 messages are published to plays")
        }
    }
}

@Suite(.timeLimit(.minutes(15))) struct `A fault of a test broker` {
    @Test func `refuses the next publishes of a topic`() async throws {
        try await withBroker { broker in
            let producer = try broker.producer()
            broker.inject(.refusePublishes(to: "plays").times(2))
            try await producer.publish("free", to: "calls")
            let refused = await #expect(throws: NSQError.self) {
                try await producer.publish("one", to: "plays")
            }
            #expect(refused?.reason.hasPrefix("E_PUB_FAILED PUB failed") == true)
            #expect(refused?.isRetriable == true)
            let batch = await #expect(throws: NSQError.self) {
                try await producer.publish(PublishBatch(["two".utf8]), to: "plays")
            }
            #expect(batch?.reason.hasPrefix("E_MPUB_FAILED MPUB failed") == true)
            try await producer.publish("three", to: "plays")
            #expect(try await broker.published(to: "plays") == bytes("three"))
        }
    }

    @Test func `refuses publishes by their content, also deferred ones and batches`()
        async throws
    {
        try await withBroker { broker in
            let producer = try broker.producer()
            broker.inject(.refusePublishes { $0 == Array("bad".utf8) })
            try await producer.publish("good", to: "plays")
            let deferred = await #expect(throws: NSQError.self) {
                try await producer.publish("bad".utf8, to: "plays", after: .seconds(1))
            }
            #expect(deferred?.reason.hasPrefix("E_DPUB_FAILED") == true)
            await #expect(throws: NSQError.self) {
                try await producer.publish(PublishBatch(["good".utf8, "bad".utf8]), to: "plays")
            }
            broker.removeFaults()
            try await producer.publish("bad", to: "plays")
            #expect(try await broker.published(to: "plays") == bytes("good", "bad"))
        }
    }

    @Test func `makes the same decisions for the same seed`() async throws {
        func refusals(seed: UInt64) async throws -> [Int] {
            try await withBroker { broker in
                let producer = try broker.producer()
                broker.inject(.refusePublishes().withProbability(0.5, seed: seed))
                var refused: [Int] = []
                for number in 0..<20 {
                    do {
                        try await producer.publish("\(number)", to: "plays")
                    } catch {
                        refused.append(number)
                    }
                }
                return refused
            }
        }
        let first = try await refusals(seed: 1)
        #expect(first.count > 0 && first.count < 20)
        #expect(try await refusals(seed: 1) == first)
        #expect(try await refusals(seed: 2) != first)
    }

    @Test func `delays answers in the broker's time`() async throws {
        try await withBroker(clock: .manual) { broker in
            let producer = try broker.producer()
            try await producer.publish("zero", to: "plays")
            broker.inject(.delayResponses(by: .seconds(5)).times(1))
            let answers = AnswerCount()
            try await withThrowingTaskGroup { group in
                // The second answer waits for the first one.
                for body in ["one", "two"] {
                    group.addTask {
                        try await producer.publish(body, to: "plays")
                        answers.value.withLock { $0 += 1 }
                    }
                }
                _ = try await broker.published(to: "plays", count: 3)
                await broker.advance(by: .seconds(4))
                #expect(answers.value.withLock { $0 } == 0)
                await broker.advance(by: .seconds(1))
                try await group.waitForAll()
            }
        }
    }

    @Test func `lets a publish fail that was accepted`() async throws {
        try await withBroker { broker in
            let producer = try broker.producer()
            try await producer.publish("one", to: "plays")
            broker.inject(.delayResponses(by: .seconds(3_600)))
            let second = Task { try await producer.publish("two", to: "plays") }
            _ = try await broker.published(to: "plays", count: 2)
            await broker.cut(.producers)
            let error = await #expect(throws: NSQError.self) { try await second.value }
            #expect(error?.mayHaveBeenAccepted == true)
        }
    }

    @Test func `delays deliveries in the broker's time`() async throws {
        try await withBroker(clock: .manual) { broker in
            broker.inject(.delayDeliveries(of: "plays", by: .seconds(5)))
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let producer = try broker.producer()
            async let next = consumer.next()?.body
            try await producer.publish("one", to: "plays")
            try await broker.wait(until: "the message is in flight") {
                $0.topics.first?.channels.first?.inFlightCount == 1
            }
            await broker.advance(by: .seconds(4))
            #expect(await broker.channel("counts", of: "plays")?.inFlightCount == 1)
            await broker.advance(by: .seconds(1))
            #expect(try await next == Array("one".utf8))
        }
    }

    @Test func `delivers messages twice`() async throws {
        try await withBroker { broker in
            broker.inject(.duplicateDeliveries(of: "plays"))
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let producer = try broker.producer()
            try await producer.publish("one", to: "plays")
            try await producer.publish("two", to: "plays")
            var attempts: [String: [Int]] = [:]
            for _ in 0..<4 {
                guard let delivery = try await consumer.next() else { break }
                attempts[String(decoding: delivery.body, as: UTF8.self), default: []]
                    .append(delivery.attempts)
                delivery.finish()
            }
            #expect(attempts == ["one": [1, 2], "two": [1, 2]])
            try await broker.waitUntilDrained("counts", of: "plays")
        }
    }

    @Test(arguments: [false, true])
    func `concerns connections with TLS and compression too`(isRefusing: Bool) async throws {
        let certificates = try TestCertificates()
        var configuration = EmbeddedBroker.Configuration()
        configuration.tls = .init(
            certificateFile: certificates.server.certificate, keyFile: certificates.server.key)
        configuration.logger.logLevel = .critical
        try await withBroker(configuration) { broker in
            var options = Producer.Options()
            options.client.tls = try .init(trust: .authorities(file: certificates.authority))
            options.client.compression = .snappy
            let producer = try broker.producer(options: options)
            try await producer.publish("one", to: "plays")
            if isRefusing {
                broker.inject(.refusePublishes().times(1))
                await #expect(throws: NSQError.self) {
                    try await producer.publish("two", to: "plays")
                }
            } else {
                broker.inject(.delayResponses(by: .milliseconds(1)))
                try await producer.publish("two", to: "plays")
            }
            try await producer.publish("three", to: "plays")
            let expected = isRefusing ? bytes("one", "three") : bytes("one", "two", "three")
            #expect(try await broker.published(to: "plays") == expected)
        }
    }

    @Test func `delays deliveries that the transport layers send in many parts`() async throws {
        let certificates = try TestCertificates()
        var configuration = EmbeddedBroker.Configuration()
        configuration.tls = .init(
            certificateFile: certificates.server.certificate, keyFile: certificates.server.key)
        configuration.logger.logLevel = .critical
        try await withBroker(configuration, clock: .manual) { broker in
            broker.inject(
                .delayDeliveries(by: .milliseconds(2)).withProbability(0.3, seed: 5))
            var options = Consumer.Options()
            options.client.tls = try .init(trust: .authorities(file: certificates.authority))
            options.maxInFlight = 300
            let consumer = try broker.consumer(topic: "plays", channel: "counts", options: options)
            let answers = AnswerCount()
            let task = Task {
                while let delivery = try await consumer.next() {
                    delivery.finish()
                    answers.value.withLock { $0 += 1 }
                }
            }
            let producer = try broker.producer()
            let body = [UInt8](repeating: 7, count: 20_000)
            for _ in 0..<10 {
                try await producer.publish(
                    PublishBatch(Array(repeating: body, count: 100)), to: "plays")
            }
            // Advances the clock by less than 30 s, because the heartbeat after 30 s would also send
            // the remaining responses.
            for _ in 0..<25_000 where answers.value.withLock({ $0 }) < 1_000 {
                await broker.advance(by: .milliseconds(1))
            }
            #expect(answers.value.withLock { $0 } == 1_000)
            task.cancel()
        }
    }

    @Test func `cuts the connections of chosen clients`() async throws {
        try await withBroker { broker in
            var options = Consumer.Options()
            options.client.clientID = "first"
            let first = try broker.consumer(topic: "plays", channel: "counts", options: options)
            let second = try broker.consumer(topic: "plays", channel: "archive")
            let producer = try broker.producer(options: republishing)
            try await first.connected()
            try await second.connected()
            try await producer.publish("one", to: "plays")
            #expect(await broker.cut(.clientID("nobody")) == 0)
            #expect(await broker.cut(.address("127.0.0.1:1")) == 0)
            #expect(await broker.cut(.consumers(of: "plays", channel: "none")) == 0)
            #expect(await broker.cut(.consumers(of: "plays", channel: "archive")) == 1)
            #expect(await broker.cut(.clientID("first")) == 1)
            #expect(await broker.cut(.producers) == 1)
            // All clients connect again.
            try await producer.publish("two", to: "plays")
            if let delivery = try await first.next() { delivery.finish() }
            if let delivery = try await second.next() { delivery.finish() }
        }
    }
}

/// A producer may notice the end of its connection only after it has sent the next publish.
private var republishing: Producer.Options {
    var options = Producer.Options()
    options.republishesLostMessages = true
    return options
}
