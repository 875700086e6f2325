import BrokerCore
import Dispatch
import NSQWire
import Testing
import UVLoop

@testable import NSQBroker

/// nsqd reads on when a write has failed, to the end of what there is to read.
@Suite struct `A consumer that is gone when something is sent to it` {
    @Test(arguments: [nil, "snappy"])
    func `has finished what it said it had`(compression: String?) async throws {
        let broker = try await patientBroker()
        let client = try LayeredClient(broker.tcpAddress)
        var wishes = Identify()
        wishes.featureNegotiation = true
        wishes.snappy = compression == "snappy"
        _ = try client.identify(wishes)
        for body in ["one", "two"] {
            try client.publish(Array(body.utf8), to: "plays")
            #expect(try client.text() == "OK")
        }
        try client.send("SUB plays counts\nRDY 3\n")
        #expect(try client.text() == "OK")
        let id = try client.messageID()
        try broker.publish("three") {
            try client.send("FIN \(id)\n")
            client.breakOff()
        }
        while await broker.statistics().connections > 0 {}
        let channel = try #require(await broker.statistics().topics.first?.channels.first)
        #expect(channel.depth == 2)
        await broker.stop()
    }

    /// What it does not read is on its way, and for that long nothing is read from it.
    @Test func `or on its way to it has finished what it said it had`() async throws {
        let broker = try await patientBroker()
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
        while try await broker.unfinished() == count {}
        try client.send("FIN \(ids[1])\n")
        client.breakOff()
        while await broker.statistics().connections > 1 {}
        #expect(try await broker.unfinished() == count - 2)
        await broker.stop()
    }

    /// One that gives nobody up for being slow, however long the test has to wait for its turn.
    private func patientBroker() async throws -> EmbeddedBroker {
        try await quietBroker { $0.core.heartbeatInterval = .seconds(3600) }
    }
}

extension LayeredClient {
    /// The ID of the next message.
    fileprivate func messageID() throws -> String {
        let message = try frame()
        #expect(message.kind == .message)
        return String(decoding: message.data[10..<26], as: UTF8.self)
    }
}

extension EmbeddedBroker {
    /// The messages of the one channel.
    fileprivate func unfinished() async throws -> Int {
        let channel = try #require(await statistics().topics.first?.channels.first)
        return channel.depth + channel.inFlightCount
    }

    /// Publishes `body` to `plays` after `action`, and before the broker reads what that has sent.
    fileprivate func publish(_ body: String, after action: () throws -> Void) rethrows {
        let (isHeld, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        thread.door.submit { [server] loop in
            isHeld.signal()
            mayGoOn.wait()
            let server = server(on: loop)!
            Array(body.utf8).withUnsafeBytes {
                try? server.broker.publish($0, to: TopicName("plays")!, at: server.now)
            }
        }
        isHeld.wait()
        defer { mayGoOn.signal() }
        try action()
    }
}
