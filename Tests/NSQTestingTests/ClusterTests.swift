import Foundation
import Logging
import NSQBroker
import NSQClient
import NSQTesting
import TestKit
import Testing

@Suite(.timeLimit(.minutes(15))) struct `A cluster for a test` {
    /// Receives and finishes messages until all `bodies` were received, and returns how often.
    private func receive(
        _ bodies: Set<String>, from consumer: Consumer
    ) async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        while !bodies.isSubset(of: counts.keys), let delivery = try await consumer.next() {
            counts[String(decoding: delivery.body, as: UTF8.self), default: 0] += 1
            delivery.finish()
        }
        return counts
    }

    private var quickOptions: Consumer.Options {
        var options = Consumer.Options()
        options.client.maxReconnectDelay = .milliseconds(100)
        return options
    }

    @Test func `delivers the messages of all its brokers to one consumer`() async throws {
        try await withCluster(brokers: 3) { cluster in
            #expect(Set(cluster.addresses).count == 3)
            try await cluster.createChannel("counts", of: "plays")
            var options = Producer.Options()
            options.distribution = .roundRobin
            let producer = try cluster.producer(options: options)
            let consumer = try cluster.consumer(topic: "plays", channel: "counts")
            let bodies = Set((0..<30).map { "play \($0)" })
            for body in bodies { try await producer.publish(body, to: "plays") }
            #expect(
                try await receive(bodies, from: consumer) == bodies.reduce(into: [:]) { $0[$1] = 1 }
            )
            try await cluster.waitUntilDrained("counts", of: "plays")
        }
    }

    /// Publishes a message. Repeats the publish if it fails because the producer notices only now that
    /// its broker has stopped.
    private func publish(_ body: String, with producer: Producer) async throws {
        do throws(NSQError) {
            try await producer.publish(body, to: "plays")
        } catch {
            guard error.mayHaveBeenAccepted else { throw error }
            try await producer.publish(body, to: "plays")
        }
    }

    @Test func `stops and starts its brokers one by one, and loses no message`() async throws {
        let folder = try TemporaryFolder()
        var configuration = EmbeddedBroker.Configuration()
        configuration.dataPath = folder.path("node")
        configuration.logger.logLevel = .error
        try await withCluster(brokers: 3, configuration: configuration) { cluster in
            try await cluster.createChannel("counts", of: "plays")
            let producer = try cluster.producer()
            var bodies: Set<String> = []
            for (number, node) in cluster.nodes.enumerated() {
                for message in 0..<5 {
                    let body = "\(number).\(message)"
                    bodies.insert(body)
                    try await producer.publish(body, to: "plays")
                }
                // The next publishes go to the next running broker.
                await node.stop()
                #expect(!node.isRunning)
                let next = "after \(number)"
                bodies.insert(next)
                try await publish(next, with: producer)
                try await node.start()
                #expect(node.isRunning)
            }
            let consumer = try cluster.consumer(
                topic: "plays", channel: "counts", options: quickOptions)
            let received = try await receive(bodies, from: consumer)
            #expect(Set(received.keys) == bodies)
        }
    }

    @Test func `finds its brokers by nsqlookupds, of which one is stopped`() async throws {
        try await withCluster(brokers: 2, lookupds: 2) { cluster in
            #expect(cluster.lookupdAddresses.count == 2)
            try await cluster.createChannel("counts", of: "plays")
            await cluster.lookupds[0].stop()
            let consumer = try cluster.consumer(topic: "plays", channel: "counts")
            try await cluster.nodes[0].producer().publish("first", to: "plays")
            try await cluster.nodes[1].producer().publish("second", to: "plays")
            let bodies: Set = ["first", "second"]
            #expect(Set(try await receive(bodies, from: consumer).keys) == bodies)
            try await cluster.lookupds[0].start()
        }
    }

    /// The brokers register again with an nsqlookupd that was restarted at its address.
    @Test func `finds its brokers by an nsqlookupd that was restarted`() async throws {
        try await withCluster(brokers: 2, lookupds: 1) { cluster in
            try await cluster.createChannel("counts", of: "plays")
            await cluster.lookupds[0].stop()
            try await cluster.lookupds[0].start()
            let consumer = try cluster.consumer(topic: "plays", channel: "counts")
            for node in cluster.nodes { try await node.producer().publish("play", to: "plays") }
            #expect(try await receive(["play"], from: consumer).keys.contains("play"))
        }
    }
}
