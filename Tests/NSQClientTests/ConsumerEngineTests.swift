import NSQClient
import NSQWire
import Testing
import UVLoop

@Suite struct `A consumer` {
    private func consumer(
        on loop: Loop, _ nsqds: [SocketAddress],
        _ change: (inout Consumer.Options) -> Void = { _ in }
    ) -> ConsumerEngine {
        var options = Consumer.Options()
        options.client.shortestPause = .milliseconds(1)
        options.client.longestPause = .milliseconds(5)
        change(&options)
        return ConsumerEngine(
            on: loop, topic: plays, channel: counts, nsqds: nsqds, options: options)
    }

    @Test func `subscribes, asks for its share, and finishes a batch in one run`() throws {
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready(let count):
                    #expect(count == 1000)
                    connection.messages(["a", "bb", "ccc"])
                case .finish(MessageID(3)):
                    #expect(
                        connection.commands == [
                            .identify, .subscribe(plays, counts), .ready(count: 1000),
                            .finish(MessageID(1)), .finish(MessageID(2)), .finish(MessageID(3)),
                        ])
                    loop.stop()
                default: return false
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { batch in
                #expect(batch.map(\.body) == ["a", "bb", "ccc"].map { Array($0.utf8) })
                #expect(batch.map(\.attempts) == [1, 1, 1])
                #expect(batch[0].id == "0000000000000001")
                #expect(batch[0].timestampNanoseconds == 1_700_000_000_000_000_000)
                #expect(consumer.inFlight == 3)
                consumer.finish(batch)
                #expect(consumer.inFlight == 0)
                consumer.finish(batch)
            }
            consumer.start()
        }
    }

    @Test func `answers single messages first and then the rest of the batch`() throws {
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready: connection.messages(["a", "b", "c", "d"])
                case .finish(MessageID(4)):
                    #expect(
                        connection.commands.dropFirst(3) == [
                            .touch(MessageID(1)), .touch(MessageID(2)), .touch(MessageID(3)),
                            .touch(MessageID(4)), .requeue(MessageID(2), afterMilliseconds: 1500),
                            .finish(MessageID(3)), .finish(MessageID(1)), .finish(MessageID(4)),
                        ])
                    loop.stop()
                default: return false
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { batch in
                consumer.touch(batch)
                consumer.requeue(batch[1], after: .milliseconds(1500))
                consumer.finish(batch[2])
                consumer.finish(batch[1])
                #expect(consumer.inFlight == 2)
                consumer.finish(batch)
            }
            consumer.start()
        }
    }

    @Test func `requeues a batch`() throws {
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready: connection.messages(["a", "b"])
                case .requeue(MessageID(2), afterMilliseconds: 0): loop.stop()
                default: return false
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { consumer.requeue($0, after: .zero) }
            consumer.start()
        }
    }

    @Test func `reads frames that come byte by byte`() throws {
        var bodies: [[UInt8]] = []
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                let bytes = connection.messageBytes(["play one", "play two"])
                connection.drip(
                    bytes + responseFrame(Frame.heartbeat) + connection.messageBytes(["three"]),
                    on: loop)
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { batch in
                bodies += batch.map(\.body)
                consumer.finish(batch)
                if bodies.count == 3 { loop.stop() }
            }
            consumer.start()
        }
        #expect(bodies == ["play one", "play two", "three"].map { Array($0.utf8) })
    }

    @Test func `drops the beginning of a frame with its connection, and connects again`() throws {
        var bodies: [[UInt8]] = []
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                if nsqd.connections.count == 1 {
                    connection.send(Array(connection.messageBytes(["half"]).dropLast(2)))
                    connection.stream.shutdown { _ in connection.close() }
                } else {
                    connection.messages(["whole"])
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { batch in
                bodies += batch.map(\.body)
                consumer.finish(batch)
                loop.stop()
            }
            consumer.start()
        }
        #expect(bodies == [Array("whole".utf8)])
    }

    @Test func `does not answer on a new connection what came on the old one`() throws {
        var old: MessageBatch?
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                connection.messages(["play"])
                if nsqd.connections.count == 1 {
                    connection.stream.shutdown { _ in connection.close() }
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { batch in
                guard let first = old else { return old = batch }
                consumer.finish(first)
                consumer.finish(first[0])
                #expect(first[0].body == Array("play".utf8))
                #expect(consumer.inFlight == 1)
                consumer.finish(batch)
                consumer.stop {
                    let finishes = nsqd.connections[1].commands.filter {
                        $0 == .finish(MessageID(1))
                    }
                    #expect(finishes.count == 1)
                    loop.stop()
                }
            }
            consumer.start()
        }
    }

    @Test func `goes on after an answer that came too late, and ends on a real error`() throws {
        var ended: NSQError?
        var address = ""
        try withNSQD { loop, nsqd in
            address = "\(nsqd.address)"
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready: connection.messages(["play"])
                case .finish:
                    connection.error("E_FIN_FAILED FIN 1 failed ID not in flight")
                    connection.heartbeat()
                case .nop: connection.error("E_INVALID nonsense")
                default: return false
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { consumer.finish($0) }
            consumer.onConnection = { _, error in
                guard let error else { return }
                ended = error
                loop.stop()
            }
            consumer.start()
        }
        #expect(ended == .refused(address: address, answer: "E_INVALID nonsense"))
    }

    @Test func `shares max-in-flight between nsqds, and again when one is gone`() throws {
        try withNSQD { loop, first in
            let second = try FakeNSQD(on: loop)
            let consumer = consumer(on: loop, [first.address, second.address]) {
                $0.maxInFlight = 10
                $0.client.shortestPause = .seconds(60)
            }
            var levels: [String: Int] = [:]
            var bothAtFive = false
            for (name, nsqd) in [("first", first), ("second", second)] {
                nsqd.script = { connection, command, _ in
                    guard case .ready(let count) = command else { return false }
                    levels[name] = count
                    if levels == ["first": 5, "second": 5], !bothAtFive {
                        bothAtFive = true
                        second.close()
                    }
                    if bothAtFive, levels["first"] == 10 { loop.stop() }
                    return true
                }
            }
            loop.endOfTurn = { withExtendedLifetime((second, consumer)) {} }
            consumer.start()
        }
    }

    @Test func `is paused by a max-in-flight of zero`() throws {
        try withNSQD { loop, nsqd in
            let consumer = consumer(on: loop, [nsqd.address]) { $0.maxInFlight = 7 }
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready(7) where connection.commands.count == 3: consumer.maxInFlight = 0
                case .ready(0): consumer.maxInFlight = 7
                case .ready(7): loop.stop()
                default: return false
                }
                return true
            }
            consumer.start()
        }
    }

    @Test func `stops with CLS, waits for what is in flight, and closes`() throws {
        var order: [String] = []
        try withNSQD { loop, nsqd in
            var held: MessageBatch?
            let consumer = consumer(on: loop, [nsqd.address])
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready: connection.messages(["play"])
                case .finish: order.append("FIN")
                case .close:
                    order.append("CLS")
                    // One more that was on its way.
                    connection.messages(["late"])
                    return false
                default: return false
                }
                return true
            }
            consumer.onBatch = { batch in
                if held == nil {
                    held = batch
                    consumer.stop {
                        order.append("stopped")
                        #expect(nsqd.connections[0].hasEnded)
                        loop.stop()
                    }
                } else {
                    consumer.finish(batch)
                    let later = Timer(on: loop)
                    later.start(after: .milliseconds(5)) {
                        order.append("held")
                        consumer.finish(held!)
                        later.close()
                    }
                }
            }
            consumer.start()
        }
        #expect(order == ["CLS", "FIN", "held", "FIN", "stopped"])
    }

    @Test func `stops when what is in flight has timed out`() throws {
        try withNSQD { loop, nsqd in
            nsqd.answer.messageTimeout = 20
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                connection.messages(["never answered"])
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { _ in consumer.stop { loop.stop() } }
            consumer.start()
        }
    }

    @Test func `stops while nothing is connected`() throws {
        try withNSQD { loop, nsqd in
            nsqd.close()
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onConnection = { address, error in
                #expect(
                    error
                        == .unreachable(
                            address: "\(address)", reason: "connection refused (ECONNREFUSED)"))
                consumer.stop { loop.stop() }
            }
            consumer.start()
        }
    }

    @Test func `keeps what it has read intact while more comes in`() throws {
        var batches: [MessageBatch] = []
        let total = 20_000
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                for start in stride(from: 0, to: total, by: 100) {
                    connection.messages((start..<start + 100).map { "play number \($0)" })
                }
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address]) { $0.maxInFlight = 1_000_000 }
            var count = 0
            consumer.onBatch = { batch in
                batches.append(batch)
                count += batch.count
                if count == total { consumer.stop { loop.stop() } }
                if count == total { batches.forEach(consumer.finish) }
            }
            consumer.start()
        }
        let texts = batches.joined().map { String(decoding: $0.body, as: UTF8.self) }
        #expect(texts == (0..<total).map { "play number \($0)" })
    }
}
