import BrokerCore
import Logging
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

/// A broker on a loop that the test runs on its own thread.
private final class LoopedBroker {
    let loop: Loop
    let server: BrokerServer
    let address: SocketAddress
    let log = RecordingLog()

    init(_ change: (inout ServerOptions) -> Void) throws {
        loop = try Loop()
        var options = ServerOptions()
        change(&options)
        let log = log
        server = try BrokerServer(
            options: options, on: loop, logger: Logger(label: "nsqd") { _ in log })
        let listener = try Listener(
            on: loop, at: .tcp(SocketAddress(host: "127.0.0.1", port: 0)))
        server.accept(on: listener)
        address = listener.address
    }

    /// Runs the loop until `condition` is `true`, which is checked with a timer.
    func run(until condition: @escaping () -> Bool) {
        let timer = Timer(on: loop)
        timer.start(after: .milliseconds(2), repeating: .milliseconds(2)) { [loop] in
            if condition() { loop.stop() }
        }
        loop.run()
        timer.close()
    }

    func close() { loop.close() }
}

private func unknownFinishes(_ count: Int) -> [UInt8] {
    (0..<count).flatMap { Array("FIN ".utf8) + MessageID(UInt64($0) | 1 << 63).bytes + [0x0a] }
}

@Suite(.blocking, .timeLimit(.minutes(10))) struct `The loop` {
    /// A loop that never waits has many iterations between two calls of a timer.
    @Test func `does not run for clients that something else than the work budget stops`() throws {
        let broker = try LoopedBroker {
            $0.core.stepsPerIteration = 64
            $0.core.maxUnsentBytes = 4_096
        }
        let producer = try RawClient(to: broker.address)
        producer.tell("PUB plays", body: String(repeating: "x", count: 100_000))
        // Connects consumers that do not read. Their messages exceed the socket buffer, and their
        // commands exceed the budget.
        let body = [UInt8](repeating: 1, count: 1 << 20)
        for _ in 1...60 {
            try body.withUnsafeBytes {
                try broker.server.broker.publish($0, to: TopicName("plays")!, at: broker.server.now)
            }
        }
        var clients = [producer]
        for channel in ["a", "b", "c#ephemeral"] {
            let client = try RawClient(to: broker.address)
            client.tell("SUB plays \(channel)")
            client.tell("RDY 100")
            client.socket.send(unknownFinishes(2_000))
            clients.append(client)
        }
        let closing = try RawClient(to: broker.address)
        closing.tell("SUB plays a")
        closing.socket.send(unknownFinishes(1_000))
        closing.tell("CLS")
        let ended = try RawClient(to: broker.address)
        ended.socket.send(unknownFinishes(10))
        let incomplete = try RawClient(to: broker.address)
        incomplete.socket.send("PUB plays\n\0\0\u{10}\0half")
        clients += [closing, ended, incomplete]

        var iteration = broker.loop.iteration
        var quietCalls = 0
        broker.run {
            let isQuiet = broker.loop.iteration - iteration <= 2
            iteration = broker.loop.iteration
            quietCalls = isQuiet ? quietCalls + 1 : 0
            return quietCalls >= 50
        }
        #expect(!broker.server.broker.hasPostponedWork)
        #expect(clients.count == 7)
        broker.close()
    }

    @Test func `executes the commands beyond the budget in later iterations`() throws {
        let broker = try LoopedBroker { $0.core.stepsPerIteration = 64 }
        let client = try RawClient(to: broker.address)
        client.tell("SUB plays a")
        client.socket.send(unknownFinishes(1_000))
        client.tell("PUB plays", body: "last")
        let before = broker.loop.iteration
        broker.run { broker.server.broker.unfinishedCount == 1 }
        #expect(broker.loop.iteration - before >= 70)
        #expect(client.response() == "OK")
        for number in 0..<1_000 {
            let id = MessageID(UInt64(number) | 1 << 63)
            #expect(client.response() == "E_FIN_FAILED FIN \(id) failed ID not in flight")
        }
        #expect(client.response() == "OK")
        broker.close()
    }

    @Test func `executes all commands of a client that stops reading for a while`() async throws {
        let nsqd = try await HTTPProbe.startOwn {
            $0.core.stepsPerIteration = 64
            $0.core.maxUnsentBytes = 1_000
        }
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("SUB plays a")
        #expect(client.response() == "OK")
        for _ in 1...5 { client.socket.send(unknownFinishes(1_000)) }
        client.tell("PUB plays", body: "last")
        for _ in 1...5_000 { #expect(client.response().hasPrefix("E_FIN_FAILED")) }
        #expect(client.response() == "OK")
        await nsqd.stop()
    }

    @Test(arguments: ["deflate", "snappy"])
    func `executes the compressed commands beyond the budget`(compression: String) async throws {
        let nsqd = try await HTTPProbe.startOwn {
            $0.core.stepsPerIteration = 64
            $0.core.maxUnsentBytes = 10_000
        }
        let client = try LayeredClient(nsqd.tcpAddress.description)
        var settings = Identify()
        settings.featureNegotiation = true
        settings.deflate = compression == "deflate"
        settings.snappy = compression == "snappy"
        _ = try client.identify(settings)
        try client.send("SUB plays a\n")
        #expect(try client.text() == "OK")
        try client.send(unknownFinishes(3_000))
        try client.send("NOP\nPUB plays\n\0\0\0\u{4}last")
        for _ in 1...3_000 { #expect(try client.text().hasPrefix("E_FIN_FAILED")) }
        #expect(try client.text() == "OK")
        await nsqd.stop()
    }
}

@Suite(.blocking, .timeLimit(.minutes(10))) struct `The log of the errors of clients` {
    @Test func `has one line for each client, code and second, and the number of the others`()
        throws
    {
        let broker = try LoopedBroker { _ in }
        let client = try RawClient(to: broker.address)
        client.tell("SUB plays a")
        client.socket.send(unknownFinishes(500))
        client.socket.send("TOUCH 0123456789abcdef\n")
        let other = try RawClient(to: broker.address)
        other.tell("SUB plays a")
        other.socket.send(unknownFinishes(1))
        broker.run { !broker.log.lines(with: "more").isEmpty }
        #expect(broker.log.lines(with: "E_FIN_FAILED FIN").count == 2)
        #expect(broker.log.lines(with: "E_TOUCH_FAILED").count == 1)
        let more = broker.log.lines(with: "more")
        #expect(more.count == 1)
        #expect(more.first?.hasSuffix("] - and 499 more E_FIN_FAILED") == true)
        client.socket.send(unknownFinishes(1))
        broker.run { broker.log.lines(with: "E_FIN_FAILED FIN").count == 3 }
        broker.close()
    }

    @Test func `has the number of the others also if the broker stops`() throws {
        let broker = try LoopedBroker { _ in }
        let client = try RawClient(to: broker.address)
        client.tell("SUB plays a")
        client.socket.send(unknownFinishes(10))
        broker.run { !broker.log.lines(with: "E_FIN_FAILED").isEmpty }
        broker.server.stop { broker.loop.stop() }
        broker.loop.run()
        #expect(broker.log.lines(with: "] - and 9 more E_FIN_FAILED").count == 1)
        broker.close()
    }
}
