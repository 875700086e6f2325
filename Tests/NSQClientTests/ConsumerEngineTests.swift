import HTTP
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
        options.client.minReconnectDelay = .milliseconds(1)
        options.client.maxReconnectDelay = .milliseconds(5)
        change(&options)
        return ConsumerEngine(
            on: loop, topic: plays, channel: counts, nsqds: nsqds, options: options)
    }

    @Test func `subscribes, sends RDY, and finishes a batch`() throws {
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

    @Test func `completes single messages first and then the rest of the batch`() throws {
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

    @Test func `reads frames that arrive byte by byte`() throws {
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

    @Test func `discards an incomplete frame of a broken connection, and reconnects`() throws {
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

    @Test func `does not finish messages of an old connection on a new one`() throws {
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

    @Test func `continues after an error for a late FIN, and ends on any other error`() throws {
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
        #expect(ended == .refused(address: address, response: "E_INVALID nonsense"))
    }

    @Test func `divides max-in-flight among nsqds, and again when one disconnects`() throws {
        try withNSQD { loop, first in
            let second = try FakeNSQD(on: loop)
            let consumer = consumer(on: loop, [first.address, second.address]) {
                $0.maxInFlight = 10
                $0.client.minReconnectDelay = .seconds(60)
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
            loop.onIterationEnd = { withExtendedLifetime((second, consumer)) {} }
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

    @Test func `stops with CLS, waits for messages in flight, and closes`() throws {
        var order: [String] = []
        try withNSQD { loop, nsqd in
            var held: MessageBatch?
            let consumer = consumer(on: loop, [nsqd.address])
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready: connection.messages(["play"])
                case .finish:
                    order.append("FIN")
                    guard order == ["CLS", "FIN"] else { break }
                    order.append("held")
                    consumer.finish(held!)
                case .close:
                    order.append("CLS")
                    // This message was sent before nsqd received CLS.
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
                }
            }
            consumer.start()
        }
        #expect(order == ["CLS", "FIN", "held", "FIN", "stopped"])
    }

    @Test func `stops when the messages in flight have timed out`() throws {
        try withNSQD(clock: .manual) { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .ready = command else { return false }
                connection.messages(["never answered"])
                return true
            }
            let consumer = consumer(on: loop, [nsqd.address])
            consumer.onBatch = { _ in
                consumer.stop { loop.stop() }
                // The timeout of a message is 60 s.
                loop.advance(by: .seconds(61))
            }
            consumer.start()
        }
    }

    @Test func `moves RDY from an idle nsqd to a busy one, and back with its next message`() throws
    {
        var counts: [Int] = []
        try withNSQD(clock: .manual) { loop, busy in
            let idle = try FakeNSQD(on: loop)
            let consumer = consumer(on: loop, [busy.address, idle.address])
            busy.script = { connection, command, _ in
                guard case .ready(let count) = command else { return false }
                counts.append(count)
                switch counts.suffix(3) {
                case [500, 999, 500]: consumer.stop { loop.stop() }
                case let counts where counts.last == 999: idle.connections[0].messages(["new"])
                case let counts where counts.last == 500:
                    // Both nsqds are connected.
                    loop.advance(by: .seconds(9))
                    connection.messages(["busy"])
                default: break
                }
                return true
            }
            consumer.onBatch = { batch in
                consumer.finish(batch)
                // No message of the other nsqd has arrived for 11 s.
                if counts.last == 500 { loop.advance(by: .seconds(2)) }
            }
            consumer.start()
        }
        #expect(counts.suffix(3) == [500, 999, 500])
    }

    @Test func `connects again to an nsqd that is reported again while the consumer leaves it`()
        throws
    {
        var subscriptions = 0
        try withNSQD { loop, nsqd in
            let lookupd = FakeLookupd.Server(on: loop, [nsqd.address.description])
            let url = HTTPURL(
                address: try lookupd.http.listen(at: SocketAddress(host: "127.0.0.1", port: 0)),
                target: "/")
            var options = Consumer.Options()
            options.lookup.pollInterval = .milliseconds(10)
            let consumer = ConsumerEngine(
                on: loop, topic: plays, channel: counts, nsqds: [], lookupds: [url],
                options: options)
            let timer = Timer(on: loop)
            nsqd.script = { connection, command, _ in
                switch command {
                case .subscribe:
                    subscriptions += 1
                    lookupd.nsqds = []
                    guard subscriptions == 2 else { return false }
                    timer.close()
                    consumer.abandon { lookupd.stop { loop.stop() } }
                case .close:
                    lookupd.nsqds = [nsqd.address.description]
                    let polls = lookupd.targets.count
                    timer.start(after: .zero, repeating: .milliseconds(1)) {
                        guard lookupd.targets.count > polls + 1 else { return }
                        timer.stop()
                        connection.send(responseFrame(Frame.closeWait))
                    }
                default: return false
                }
                return true
            }
            consumer.start()
        }
        #expect(subscriptions == 2)
    }

    @Test func `restarts timeouts of messages it keeps alive, up to the maximum`() throws {
        var touches = 0
        try withNSQD(clock: .manual) { loop, nsqd in
            nsqd.answer.messageTimeout = 60_000
            nsqd.answer.maxMessageTimeout = 120_000
            let consumer = consumer(on: loop, [nsqd.address])
            nsqd.script = { connection, command, _ in
                switch command {
                case .ready: connection.messages(["slow", "fast"])
                case .touch(let id):
                    #expect(id == MessageID(1))
                    touches += 1
                    loop.advance(by: .seconds(31))
                    // The message times out 120 s after its delivery.
                    if touches > 1 { loop.advance(by: .seconds(90)) }
                default: return false
                }
                return true
            }
            consumer.keepsMessagesAlive = true
            consumer.onBatch = { batch in
                consumer.finish(batch[1])
                loop.advance(by: .seconds(31))
                consumer.stop { loop.stop() }
            }
            consumer.start()
        }
        #expect(touches == 2)
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

    @Test func `keeps the bytes of received batches unchanged while it reads more`() throws {
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
