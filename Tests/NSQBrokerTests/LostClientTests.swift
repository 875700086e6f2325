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
        let broker = try await EmbeddedBroker.start()
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
        let message = try client.frame()
        #expect(message.kind == .message)

        try broker.publish("three") {
            try client.send("FIN \(String(decoding: message.data[10..<26], as: UTF8.self))\n")
            client.breakOff()
        }
        while await broker.statistics().connections > 0 {}
        let channel = try #require(await broker.statistics().topics.first?.channels.first)
        #expect(channel.depth == 2)
        await broker.stop()
    }
}

extension EmbeddedBroker {
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
