import BrokerCore
import Dispatch
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

/// nsqd continues to read after a failed write, until the end of the input.
@Suite(.blocking) struct `A consumer that disconnects during a write` {
    @Test(arguments: [nil, "snappy"])
    func `has finished the messages of its last FIN`(compression: String?) async throws {
        let broker = try await quietBroker { _ in }
        let client = try LayeredClient(broker.tcpAddress)
        var settings = Identify()
        settings.featureNegotiation = true
        settings.snappy = compression == "snappy"
        _ = try client.identify(settings)
        for body in ["one", "two"] {
            try client.publish(Array(body.utf8), to: "plays")
            #expect(try client.text() == "OK")
        }
        try client.send("SUB plays counts\nRDY 3\n")
        #expect(try client.text() == "OK")
        let id = try client.messageID()
        try broker.publish("three") {
            try client.send("FIN \(id)\n")
            client.reset()
        }
        #expect(await eventually { await broker.statistics().connections == 0 })
        let channel = try #require(await broker.statistics().topics.first?.channels.first)
        #expect(channel.depth == 2)
        await broker.stop()
    }

    /// While a blocked write is pending, the broker does not read from the client.
    @Test func `has finished the messages of its last FIN while a write was blocked`() async throws
    {
        let broker = try await quietBroker { _ in }
        let client = try LayeredClient(broker.tcpAddress, receiveBufferBytes: 65_536)
        try client.send("  V2SUB plays counts\nRDY 100\n")
        #expect(try client.text() == "OK")
        let producer = try LayeredClient(broker.tcpAddress)
        try producer.send("  V2")
        let count = 24
        for _ in 1...count {
            try producer.publish([UInt8](repeating: 1, count: 500_000), to: "plays")
            #expect(try producer.text() == "OK")
        }
        let ids = [try client.messageID(), try client.messageID()]
        try client.send("FIN \(ids[0])\n")
        #expect(try await eventually { try await broker.unfinished() != count })
        try client.send("FIN \(ids[1])\n")
        client.reset()
        #expect(await eventually { await broker.statistics().connections == 1 })
        #expect(try await broker.unfinished() == count - 2)
        await broker.stop()
    }
}

extension LayeredClient {
    /// Receives the ID of the next message.
    fileprivate func messageID() throws -> String {
        let message = try frame()
        #expect(message.kind == .message)
        return String(decoding: message.data[10..<26], as: UTF8.self)
    }
}

extension EmbeddedBroker {
    /// Returns the number of unfinished messages of the only channel.
    fileprivate func unfinished() async throws -> Int {
        let channel = try #require(await statistics().topics.first?.channels.first)
        return channel.depth + channel.inFlightCount
    }

    /// Publishes `body` to `plays` after `action`, before the broker reads the bytes that `action` sends.
    fileprivate func publish(_ body: String, after action: () throws -> Void) rethrows {
        let (isHeld, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        host.submit { server in
            isHeld.signal()
            mayGoOn.wait()
            let server = server!
            Array(body.utf8).withUnsafeBytes {
                try? server.broker.publish($0, to: TopicName("plays")!, at: server.now)
            }
        }
        isHeld.wait()
        defer { mayGoOn.signal() }
        try action()
    }
}
