import NSQWire
import Testing
import UVLoop

@testable import NSQClient

/// The bounds and timeouts of a producer, at a fake nsqd whose responses the test controls.
@Suite struct `The window of a producer` {
    private func producer(
        on loop: Loop, _ nsqds: [FakeNSQD], _ change: (inout Producer.Options) -> Void = { _ in }
    ) -> ProducerEngine {
        var options = Producer.Options()
        options.client.minReconnectDelay = .milliseconds(1)
        options.client.maxReconnectDelay = .milliseconds(1)
        change(&options)
        return ProducerEngine(
            on: loop, nsqds: nsqds.map(\.address), options: options, logger: quiet)
    }

    @Test func `holds back publishes while its bytes are used up`() throws {
        var sent: [Int] = []
        try withNSQD { loop, nsqd in
            let producer = producer(on: loop, [nsqd]) { $0.windowBytes = 1_000 }
            let body = [UInt8](repeating: 7, count: 900)
            nsqd.run(
                [
                    { _ in },
                    {
                        sent.append($0.publishCount)
                        $0.ok()
                    },
                    {
                        sent.append($0.publishCount)
                        for _ in 1...2 { $0.ok() }
                    },
                    {
                        sent.append($0.publishCount)
                        $0.ok()
                        producer.stop { loop.stop() }
                    },
                ], after: .publish(plays), withoutResponse: true)
            producer.start()
            for _ in 1...4 { producer.publish(body, to: plays) { #expect($0 == nil) } }
        }
        #expect(sent == [2, 3, 4])
    }

    @Test func `is empty again after a connection was lost`() throws {
        var outcomes: [NSQError.Code?] = []
        try withNSQD { loop, nsqd in
            let producer = producer(on: loop, [nsqd]) {
                $0.windowBytes = 1
                $0.window = 1
                $0.maxWaiting = 1
            }
            nsqd.script = { connection, command, _ in
                guard case .publish = command, nsqd.connections.count == 1 else { return false }
                connection.close()
                return true
            }
            nsqd.onConnection = { connection in
                guard nsqd.connections.count == 2 else { return }
                // The publish waits for the connection and must then be sent.
                producer.publish([2], to: plays) { error in
                    outcomes.append(error?.code)
                    producer.stop { loop.stop() }
                }
            }
            producer.start()
            producer.publish([1], to: plays) { outcomes.append($0?.code) }
        }
        #expect(outcomes == [.connectionLost, nil])
    }

    @Test func `holds a publish for longer than the reconnect timeout while nsqd is connected`()
        throws
    {
        var outcomes: [NSQError?] = []
        try withNSQD(clock: .manual) { loop, nsqd in
            let producer = producer(on: loop, [nsqd]) {
                $0.window = 1
                $0.reconnectTimeout = .seconds(5)
            }
            nsqd.run(
                [
                    { _ in loop.advance(by: .seconds(6)) },
                    {
                        #expect(outcomes.isEmpty)
                        $0.ok()
                    },
                    {
                        $0.ok()
                        producer.stop { loop.stop() }
                    },
                ], after: .publish(plays), withoutResponse: true)
            producer.start()
            for _ in 1...2 { producer.publish([1], to: plays) { outcomes.append($0) } }
        }
        #expect(outcomes == [nil, nil])
    }

    @Test func `of a full nsqd lets the others publish in turn`() throws {
        var received: [Int] = []
        try withNSQD { loop, full in
            let other = try FakeNSQD(on: loop)
            let producer = producer(on: loop, [full, other]) {
                $0.window = 1
                $0.distribution = .roundRobin
            }
            full.script = { _, command, _ in command == .publish(plays) }
            var accepted = 0
            for (nsqd, peer) in [(full, other), (other, full)] {
                nsqd.onConnection = { connection in
                    guard !peer.connections.isEmpty else { return }
                    for _ in 1...6 {
                        producer.publish([1], to: plays) { error in
                            guard error == nil else { return }
                            accepted += 1
                            guard accepted == 5 else { return }
                            received = [full, other].map { $0.connections[0].publishCount }
                            producer.abandon {
                                other.close()
                                loop.stop()
                            }
                        }
                    }
                }
            }
            producer.start()
        }
        #expect(received == [1, 5])
    }

    @Test func `is given up when nsqd does not respond before the stop timeout`() throws {
        var outcome: NSQError?
        var hasStopped = false
        try withNSQD(clock: .manual) { loop, nsqd in
            let producer = producer(on: loop, [nsqd]) {
                $0.stopTimeout = .seconds(5)
                $0.responseTimeout = .seconds(3600)
            }
            nsqd.run(
                [
                    { _ in producer.stop { hasStopped = true } },
                    { _ in
                        loop.advance(by: .milliseconds(4_999))
                        #expect(!hasStopped)
                        loop.advance(by: .milliseconds(1))
                        loop.runInNextIteration { loop.stop() }
                    },
                ], after: .publish(plays), withoutResponse: true)
            producer.start()
            producer.publish([1], to: plays) { outcome = $0 }
        }
        #expect(hasStopped)
        #expect(outcome?.code == .connectionLost)
    }
}

@Suite struct `A publish on a lost connection` {
    private func producer(
        on loop: Loop, _ nsqd: FakeNSQD, _ change: (inout Producer.Options) -> Void = { _ in }
    ) -> ProducerEngine {
        var options = Producer.Options()
        options.client.minReconnectDelay = .milliseconds(1)
        options.client.maxReconnectDelay = .milliseconds(1)
        options.republishesLostMessages = true
        change(&options)
        return ProducerEngine(
            on: loop, nsqds: [nsqd.address], options: options, logger: quiet)
    }

    @Test func `is not repeated if its task was cancelled`() throws {
        var received: [[String]] = []
        try withNSQD { loop, nsqd in
            let producer = producer(on: loop, nsqd)
            nsqd.script = { connection, command, body in
                guard case .publish = command, nsqd.connections.count == 1 else { return false }
                guard body.text == "2" else { return true }
                producer.cancel(1)
                connection.close()
                return true
            }
            producer.start()
            for id in 1...2 as ClosedRange<UInt64> {
                producer.publish(Array("\(id)".utf8), to: plays, id: id) { error in
                    guard id == 2 else { return }
                    #expect(error == nil)
                    received = nsqd.connections.map { connection in
                        connection.bodies.dropFirst().map { String(decoding: $0, as: UTF8.self) }
                    }
                    producer.stop { loop.stop() }
                }
            }
        }
        #expect(received == [["1", "2"], ["2"]])
    }

    @Test func `is repeated although an earlier connection was given up at the response timeout`()
        throws
    {
        var outcomes: [NSQError.Code?] = []
        try withNSQD(clock: .manual) { loop, nsqd in
            let producer = producer(on: loop, nsqd)
            var isLost = false
            nsqd.onConnection = { _ in isLost = false }
            loop.onIterationEnd = { [weak loop] in
                // The producer waits to connect again.
                guard isLost else { return }
                loop?.runInNextIteration { loop?.advance(by: .milliseconds(1)) }
            }
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                isLost = nsqd.connections.count < 3
                switch nsqd.connections.count {
                case 1: loop.advance(by: .seconds(10))
                case 2: connection.stream.shutdown { _ in connection.close() }
                default: return false
                }
                return true
            }
            producer.start()
            producer.publish([1], to: plays) { error in
                outcomes.append(error?.code)
                producer.publish([2], to: plays) { error in
                    outcomes.append(error?.code)
                    producer.stop { loop.stop() }
                }
            }
        }
        #expect(outcomes == [.connectionLost, nil])
    }

    /// The limits of an nsqd are known from its errors only, and a restarted one may have others.
    @Test func `lets the next connection learn the limits of nsqd again`() throws {
        var outcomes: [NSQError.Code?] = []
        try withNSQD { loop, nsqd in
            let producer = producer(on: loop, nsqd)
            nsqd.script = { connection, command, body in
                guard case .publish = command else { return false }
                switch (nsqd.connections.count, body.count) {
                case (1, 2):
                    connection.error("E_BAD_MESSAGE PUB message too big 2 > 1")
                    connection.stream.shutdown { _ in connection.close() }
                case (2, 1): connection.close()
                default: return false
                }
                return true
            }
            producer.start()
            func publish(_ bodies: ArraySlice<[UInt8]>) {
                guard let body = bodies.first else { return producer.stop { loop.stop() } }
                producer.publish(body, to: plays) { error in
                    outcomes.append(error?.code)
                    publish(bodies.dropFirst())
                }
            }
            // The second publish is refused without being sent. The third one makes nsqd close the
            // connection.
            publish([[1, 1], [1, 1], [1], [1, 1]])
        }
        #expect(outcomes == [.refused, .messageTooBig, nil, nil])
    }
}
