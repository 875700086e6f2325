import HTTP
import NSQWire
import Testing
import UVLoop

@testable import NSQClient

/// RDY counts at fake nsqds, on a clock that the test advances.
@Suite struct `The RDY count of an nsqd` {
    private func consumer(
        on loop: Loop, _ nsqds: [FakeNSQD], maxInFlight: Int = 1000, lookupds: [HTTPURL] = []
    ) -> ConsumerEngine {
        var options = Consumer.Options()
        options.maxInFlight = maxInFlight
        options.lookup.pollInterval = .milliseconds(10)
        return ConsumerEngine(
            on: loop, topic: plays, channel: counts, nsqds: nsqds.map(\.address),
            lookupds: lookupds, options: options, logger: quiet)
    }

    @Test func `stays while messages are in flight, however long none arrives`() throws {
        var ready: Int?
        try withNSQD(clock: .manual) { loop, busy in
            let slow = try FakeNSQD(on: loop)
            let consumer = consumer(on: loop, [busy, slow])
            consumer.onBatch = { if $0.nsqd == busy.address { consumer.finish($0) } }
            busy.run(
                [
                    { _ in slow.connections[0].messages(["held"]) },
                    {
                        loop.advance(by: .seconds(9))
                        $0.messages(["finished"])
                    },
                    // The slow nsqd has sent nothing for more than 10 s.
                    { _ in loop.advance(by: .seconds(2)) },
                    {
                        ready = $0.lastReady
                        consumer.abandon {
                            slow.close()
                            loop.stop()
                        }
                    },
                ], after: .ready(count: 500))
            consumer.start()
        }
        #expect(ready == 500)
    }

    @Test func `moves to the next nsqd every 5 s if there are more nsqds than messages`() throws {
        var served: [Int] = []
        try withNSQD(clock: .manual) { loop, first in
            let second = try FakeNSQD(on: loop)
            let consumer = consumer(on: loop, [first, second], maxInFlight: 1)
            for (number, nsqd) in [first, second].enumerated() {
                nsqd.script = { _, command, _ in
                    guard command == .ready(count: 1) else { return false }
                    served.append(number)
                    return true
                }
            }
            var quarters = 0
            loop.onIterationEnd = { [weak loop] in
                guard let loop, consumer.connectionCount == 2 else { return }
                guard served.count < 3, quarters < 200 else {
                    loop.onIterationEnd = nil
                    return consumer.abandon {
                        second.close()
                        loop.stop()
                    }
                }
                loop.runInNextIteration {
                    quarters += 1
                    loop.advance(by: .milliseconds(250))
                }
            }
            consumer.start()
        }
        #expect(served == [0, 1, 0] || served == [1, 0, 1])
    }

    @Test func `is not sent after CLS`() throws {
        var commands: [Command] = []
        try withNSQD(clock: .manual) { loop, nsqd in
            let consumer = consumer(on: loop, [nsqd])
            var held: MessageBatch?
            consumer.onBatch = { held = $0 }
            nsqd.run(
                [
                    { $0.messages(["held"]) },
                    { _ in
                        consumer.stop { loop.stop() }
                        consumer.maxInFlight = 7
                    },
                    {
                        commands = $0.commands
                        consumer.finish(held!)
                    },
                ], after: .ready(count: 1000))
            consumer.start()
        }
        #expect(commands.contains(.close))
        #expect(!commands.contains(.ready(count: 7)))
    }

    @Test(.timeLimit(.minutes(5)))
    func `stays for a configured nsqd that nsqlookupd does not report any more`() throws {
        var hasLeft = true
        try withNSQD { loop, nsqd in
            let lookupd = FakeLookupd.Server(on: loop, [nsqd.address.description])
            let url = HTTPURL(
                address: try lookupd.http.listen(at: SocketAddress(host: "127.0.0.1", port: 0)),
                target: "/")
            let consumer = consumer(on: loop, [nsqd], lookupds: [url])
            var polls = 0
            consumer.onPoll = { _, _ in
                polls += 1
                if polls == 2 { lookupd.nsqds = [] }
                // The consumer drops an nsqd after three polls without it. A few more polls pass
                // before the heartbeat.
                if polls == 10 { nsqd.connections[0].heartbeat() }
            }
            nsqd.script = { connection, command, _ in
                guard command == .nop else { return false }
                hasLeft = connection.commands.contains(.close)
                consumer.abandon { lookupd.stop { loop.stop() } }
                return true
            }
            consumer.start()
        }
        #expect(!hasLeft)
    }
}

/// The timeouts of messages in flight, on a clock that the test advances.
@Suite struct `A message in flight` {
    private func withMessage(
        _ body: @escaping (Loop, ConsumerEngine, MessageBatch) -> Void
    ) throws {
        try withNSQD(clock: .manual) { loop, nsqd in
            let consumer = ConsumerEngine(
                on: loop, topic: plays, channel: counts, nsqds: [nsqd.address], logger: quiet)
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                connection.messages(["play", "another play"])
                return true
            }
            consumer.onBatch = { batch in
                body(loop, consumer, batch)
                consumer.abandon { loop.stop() }
            }
            consumer.start()
        }
    }

    @Test func `is lost at its timeout, and reported to the tasks`() throws {
        var lost: [[Int?]] = []
        try withMessage { loop, consumer, batch in
            consumer.onMessagesLost = { lost.append([$0, $1]) }
            loop.advance(by: .milliseconds(59_700))
            #expect(lost.isEmpty && consumer.inFlight == 2)
            loop.advance(by: .milliseconds(300))
            #expect(lost == [[1, batch.serial + 1]] && consumer.inFlight == 0)
        }
        #expect(lost.count == 2)
    }

    @Test func `stays in flight for another timeout after TOUCH`() throws {
        try withMessage { loop, consumer, batch in
            loop.advance(by: .seconds(30))
            consumer.touch(batch[0])
            loop.advance(by: .seconds(30))
            #expect(consumer.inFlight == 2)
        }
    }
}
