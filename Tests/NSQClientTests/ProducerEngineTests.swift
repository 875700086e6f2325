import NSQClient
import NSQWire
import Testing
import UVLoop

@Suite struct `A producer` {
    private func options(_ change: (inout Producer.Options) -> Void = { _ in }) -> Producer.Options
    {
        var options = Producer.Options()
        options.client.minReconnectDelay = .milliseconds(1)
        options.client.maxReconnectDelay = .milliseconds(5)
        options.reconnectTimeout = .zero
        change(&options)
        return options
    }

    @Test func `publishes in order, pipelined, and completes with each OK`() throws {
        var completed: [Int] = []
        var errors: [NSQError] = []
        try withNSQD { loop, nsqd in
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            for number in 0..<100 {
                producer.publish(Array("play \(number)".utf8), to: plays) { error in
                    completed.append(number)
                    if let error { errors.append(error) }
                    if number == 99 { producer.stop { loop.stop() } }
                }
            }
            #expect(producer.pendingCount == 100)
        }
        #expect(completed == Array(0..<100))
        #expect(errors.isEmpty)
    }

    @Test func `sends PUB, MPUB and DPUB in wire format`() throws {
        try withNSQD { loop, nsqd in
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { _ in }
            producer.publish([2], to: plays, after: .microseconds(1500)) { _ in }
            producer.publish(PublishBatch([[3], [4, 5]]), to: plays) { error in
                #expect(error == nil)
                let received = nsqd.connections[0]
                #expect(
                    received.commands == [
                        .identify, .publish(plays),
                        .deferredPublish(plays, afterMilliseconds: 2), .multiPublish(plays),
                    ])
                #expect(
                    received.bodies.dropFirst() == [
                        [1], [2], [0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0, 0, 2, 4, 5],
                    ])
                producer.stop { loop.stop() }
            }
        }
    }

    @Test func `rejects empty messages and batches`() throws {
        var errors: [NSQError?] = []
        try withNSQD { loop, nsqd in
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([], to: plays) { errors.append($0) }
            producer.publish(PublishBatch(), to: plays) { errors.append($0) }
            producer.publish(PublishBatch([[1], []]), to: plays) { errors.append($0) }
            producer.stop { loop.stop() }
        }
        #expect(errors == [.emptyMessage, .emptyMessage, .emptyMessage])
    }

    @Test func `fills its window, queues further publishes, and refuses those beyond the queue`()
        throws
    {
        var refused = 0
        var completed = 0
        try withNSQD { loop, nsqd in
            let bounded = options {
                $0.window = 3
                $0.maxWaiting = 4
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: bounded)
            var unanswered = 0
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                unanswered += 1
                #expect(unanswered <= 3)
                loop.runInNextIteration {
                    unanswered -= 1
                    connection.ok()
                }
                return true
            }
            producer.start()
            for _ in 0..<6 {
                producer.publish([1], to: plays) { error in
                    if error == .tooManyWaiting(limit: 4) { refused += 1 }
                    if error == nil { completed += 1 }
                    if completed == 4 { producer.stop { loop.stop() } }
                }
            }
        }
        #expect(refused == 2)
        #expect(completed == 4)
    }

    @Test func `queues publishes when the window's bytes are used up`() throws {
        var completed = 0
        try withNSQD { loop, nsqd in
            let bounded = options { $0.windowBytes = 100_000 }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: bounded)
            producer.start()
            for _ in 0..<50 {
                producer.publish(Array(repeating: 7, count: 60_000), to: plays) { error in
                    #expect(error == nil)
                    completed += 1
                    if completed == 50 { producer.stop { loop.stop() } }
                }
            }
        }
        #expect(completed == 50)
    }

    @Test func `distinguishes lost from unsent publishes when the connection breaks`() throws {
        var outcomes: [NSQError?] = []
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, body in
                guard case .publish = command else { return false }
                if body.text == "2" { connection.close() } else { connection.ok() }
                return true
            }
            let bounded = options { $0.window = 3 }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: bounded)
            producer.start()
            for text in ["1", "2", "3", "4", "5"] {
                producer.publish(Array(text.utf8), to: plays) { error in
                    outcomes.append(error)
                    if outcomes.count == 5 { producer.stop { loop.stop() } }
                }
            }
            let address = "\(nsqd.address)"
            loop.onIterationEnd = {
                guard outcomes.count == 5 else { return }
                #expect(outcomes[0] == nil)
                for lost in outcomes[1...3] {
                    #expect(lost?.code == .connectionLost && lost?.address == address)
                    #expect(lost?.mayHaveBeenAccepted == true)
                }
                #expect(outcomes[4]?.code == .unreachable && outcomes[4]?.address == address)
                #expect(outcomes[4]?.mayHaveBeenAccepted == false)
            }
        }
        #expect(outcomes.count == 5)
    }

    @Test func `reports nsqd's error to the publish that caused it, and publishes the others`()
        throws
    {
        var outcomes: [NSQError?] = []
        var address = ""
        let answer = "E_BAD_MESSAGE PUB message too big 2 > 1"
        try withNSQD { loop, nsqd in
            address = "\(nsqd.address)"
            nsqd.script = { connection, command, body in
                guard case .publish = command else { return false }
                // Like nsqd, the script executes nothing after a refused command.
                if connection.hasRefused { return true }
                guard body.text == "22" else { return false }
                connection.hasRefused = true
                connection.error(answer)
                connection.stream.shutdown { _ in connection.close() }
                return true
            }
            let producer = ProducerEngine(
                on: loop, nsqd: nsqd.address, options: options { $0.window = 4 })
            producer.start()
            for text in ["1", "22", "3", "4", "5"] {
                producer.publish(Array(text.utf8), to: plays) { error in
                    outcomes.append(error)
                    guard outcomes.count == 5 else { return }
                    #expect(nsqd.connections.count == 2)
                    // The first publish on the second connection is a new one, so no publish is
                    // repeated.
                    #expect(nsqd.connections[1].bodies[1] == Array("3".utf8))
                    producer.publish(Array("22".utf8), to: plays) { outcomes.append($0) }
                    producer.publish(PublishBatch([[1], [2, 2]]), to: plays) {
                        outcomes.append($0)
                        producer.stop { loop.stop() }
                    }
                }
            }
        }
        let tooBig = NSQError.messageTooBig(address: address, bytes: 2, limit: 1)
        #expect(
            outcomes == [
                nil, .refused(address: address, response: answer), nil, nil, nil, tooBig, tooBig,
            ])
    }

    @Test func `publishes the messages behind a refused one while it stops`() throws {
        var outcomes: [NSQError?] = []
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, body in
                guard case .publish = command else { return false }
                if connection.hasRefused { return true }
                guard body.text == "1" else { return false }
                connection.hasRefused = true
                connection.error("E_INVALID")
                connection.stream.shutdown { _ in connection.close() }
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            for text in ["1", "2", "3"] {
                producer.publish(Array(text.utf8), to: plays) { outcomes.append($0) }
            }
            producer.stop { loop.stop() }
        }
        #expect(outcomes.map { $0?.code } == [.refused, nil, nil])
    }

    /// The first nsqd answers every second publish of the first connection after 9 s, and no other.
    @Test(arguments: [false, true])
    func `gives up an nsqd that sends no response for 10 s, and connects again`(
        republishes: Bool
    ) throws {
        var outcomes: [NSQError?] = []
        var seconds: [Int] = []
        try withNSQD(clock: .manual) { loop, nsqd in
            var elapsed = 0
            nsqd.script = { connection, command, body in
                guard case .publish = command, connection === nsqd.connections[0] else {
                    return false
                }
                // Each response restarts the timeout of the publishes after it.
                if body.text == "0" {
                    Timer(on: loop).start(after: .seconds(9)) { connection.ok() }
                }
                return true
            }
            let producer = ProducerEngine(
                on: loop, nsqd: nsqd.address,
                options: options { $0.republishesLostMessages = republishes })
            producer.start()
            for number in 0..<3 {
                producer.publish(Array("\(number)".utf8), to: plays) { error in
                    outcomes.append(error)
                    seconds.append(elapsed)
                    guard number == 2 else { return }
                    // The next connection works.
                    loop.runInNextIteration {
                        loop.advance(by: .seconds(1))
                        producer.publish([3], to: plays) { error in
                            outcomes.append(error)
                            producer.stop { loop.stop() }
                        }
                    }
                }
            }
            loop.onIterationEnd = { [weak loop] in
                guard seconds.count < 3, nsqd.connections.first?.bodies.count == 4 else { return }
                loop?.runInNextIteration {
                    elapsed += 1
                    loop?.advance(by: .seconds(1))
                }
            }
        }
        #expect(outcomes.map { $0?.code } == [nil, .connectionLost, .connectionLost, nil])
        #expect(outcomes[1]?.mayHaveBeenAccepted == true)
        #expect(outcomes[1]?.reason.contains("no answer within 10.0 seconds") == true)
        #expect(seconds == [9, 19, 19])
    }

    @Test func `waits for a connection up to the reconnect timeout`() throws {
        var outcome: NSQError?
        var accepted = 0
        try withNSQD(clock: .manual) { loop, nsqd in
            let address = nsqd.address
            nsqd.close()
            let waits = options {
                $0.client.minReconnectDelay = .seconds(1)
                $0.client.maxReconnectDelay = .seconds(1)
                $0.reconnectTimeout = .seconds(30)
            }
            let producer = ProducerEngine(on: loop, nsqd: address, options: waits)
            producer.start()
            var restarted: FakeNSQD?
            producer.publish([1], to: plays) { error in
                outcome = error
                producer.publish([2], to: plays) { error in
                    accepted += error == nil ? 1 : 0
                    producer.stop {
                        restarted?.close()
                        loop.stop()
                    }
                }
                restarted = try? FakeNSQD(on: loop, port: address.port)
            }
            loop.onIterationEnd = { [weak loop] in
                loop?.runInNextIteration { loop?.advance(by: .milliseconds(50)) }
            }
        }
        #expect(outcome?.code == .unreachable)
        #expect(outcome?.isRetriable == true && outcome?.mayHaveBeenAccepted == false)
        #expect(accepted == 1)
    }

    @Test func `publishes a lost message again only if the options demand it`() throws {
        for again in [false, true] {
            var outcome: NSQError?? = .none
            var deliveries = 0
            try withNSQD { loop, nsqd in
                nsqd.script = { connection, command, _ in
                    guard case .publish = command else { return false }
                    deliveries += 1
                    guard deliveries == 1 else { return false }
                    connection.close()
                    return true
                }
                let repeats = options {
                    $0.reconnectTimeout = .seconds(5)
                    $0.republishesLostMessages = again
                }
                let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: repeats)
                producer.start()
                producer.publish([1], to: plays) { error in
                    outcome = .some(error)
                    producer.stop { loop.stop() }
                }
            }
            #expect(deliveries == (again ? 2 : 1))
            #expect(outcome??.code == (again ? nil : NSQError.Code.connectionLost))
        }
    }

    @Test func `withdraws a cancelled publish, and reports whether it was sent`() throws {
        var outcomes: [NSQError?] = []
        var received: [String] = []
        try withNSQD { loop, nsqd in
            let producer = ProducerEngine(
                on: loop, nsqd: nsqd.address, options: options { $0.window = 1 })
            nsqd.script = { connection, command, body in
                guard case .publish = command else { return false }
                received.append(body.text)
                guard body.text == "1" else { return false }
                producer.cancel(1)
                producer.cancel(2)
                producer.cancel(9)
                connection.ok()
                return true
            }
            producer.start()
            for id in 1...3 as ClosedRange<UInt64> {
                producer.publish(Array("\(id)".utf8), to: plays, id: id) { error in
                    outcomes.append(error)
                    if outcomes.count == 3 { producer.stop { loop.stop() } }
                }
            }
        }
        #expect(
            outcomes == [
                .cancelled(mayHaveBeenAccepted: true), .cancelled(mayHaveBeenAccepted: false), nil,
            ])
        #expect(received == ["1", "3"])
    }

    @Test func `fails a publish between connections as not sent`() throws {
        var inPause: NSQError?
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                connection.close()
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { _ in
                producer.publish([2], to: plays) { inPause = $0 }
                producer.stop { loop.stop() }
            }
        }
        #expect(inPause?.code == .unreachable)
    }

    @Test func `reconnects and publishes again`() throws {
        var lost = 0
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .publish = command, nsqd.connections.count < 3 else { return false }
                connection.close()
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            let again = Timer(on: loop)
            again.start(after: .zero, repeating: .milliseconds(2)) {
                producer.publish([1], to: plays) { error in
                    if error?.code == .connectionLost { lost += 1 }
                    guard error == nil else { return }
                    again.close()
                    producer.stop { loop.stop() }
                }
            }
        }
        #expect(lost >= 2)
    }

    @Test func `fails at once with the address and the reason while nsqd is unreachable`() throws {
        var outcomes: [NSQError?] = []
        var address = ""
        try withNSQD { loop, nsqd in
            address = "\(nsqd.address)"
            nsqd.close()
            let slow = options { $0.client.minReconnectDelay = .seconds(60) }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: slow)
            producer.start()
            producer.publish([1], to: plays) { error in
                outcomes.append(error)
                producer.publish([2], to: plays) { outcomes.append($0) }
                producer.stop { loop.stop() }
            }
        }
        let refused = NSQError.unreachable(
            address: address, reason: "connection refused (ECONNREFUSED)")
        #expect(outcomes == [refused, refused])
        #expect(
            refused.description
                == "cannot reach nsqd at \(address): connection refused (ECONNREFUSED)")
    }

    @Test(arguments: ["OK", "never heard of that"])
    func `closes the connection on an unexpected response`(text: String) throws {
        try withNSQD { loop, nsqd in
            nsqd.onConnection = { connection in
                if nsqd.connections.count == 2 { loop.stop() }
            }
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                connection.ok()
                var bytes: [UInt8] = []
                Frame.append(.response, Array(text.utf8), to: &bytes)
                connection.send(bytes)
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { #expect($0 == nil) }
            // The producer must exist until the loop ends.
            loop.onIterationEnd = { withExtendedLifetime(producer) {} }
        }
    }

    @Test func `closes the connection on an oversized or invalid frame`() throws {
        for garbage: [UInt8] in [
            [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 1], [0, 0, 0, 9, 0, 0, 0, 9],
        ] {
            var outcome: NSQError?
            try withNSQD { loop, nsqd in
                nsqd.script = { connection, command, _ in
                    guard case .publish = command else { return false }
                    connection.send(garbage)
                    return true
                }
                let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
                producer.start()
                producer.publish([1], to: plays) { error in
                    outcome = error
                    producer.stop { loop.stop() }
                }
            }
            #expect(outcome?.description.contains("sent an invalid frame") == true)
        }
    }

    @Test func `fails when nsqd accepts the connection and does not respond`() throws {
        var outcome: NSQError?
        try withNSQD(clock: .manual) { loop, nsqd in
            nsqd.script = { _, _, _ in
                loop.advance(by: .seconds(5))
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { error in
                outcome = error
                producer.stop { loop.stop() }
            }
        }
        #expect(outcome?.description.hasSuffix("no answer within 5.0 seconds") == true)
    }

    @Test func `fails when nsqd sends no heartbeats`() throws {
        var outcome: NSQError?
        try withNSQD(clock: .manual) { loop, nsqd in
            nsqd.script = { _, command, _ in
                guard command == .publish(plays) else { return false }
                // Three times the heartbeat interval.
                loop.advance(by: .seconds(90))
                return true
            }
            let producer = ProducerEngine(
                on: loop, nsqd: nsqd.address,
                options: options { $0.responseTimeout = .seconds(3600) })
            producer.start()
            producer.publish([1], to: plays) { error in
                outcome = error
                producer.stop { loop.stop() }
            }
        }
        #expect(outcome?.description.contains("no heartbeat for") == true)
    }

    @Test func `waits for responses when it stops, and accepts no further publish`() throws {
        var order: [String] = []
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                loop.runInNextIteration { connection.ok() }
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { order.append($0 == nil ? "accepted" : "failed") }
            producer.stop {
                order.append("stopped")
                producer.stop { loop.stop() }
            }
            producer.publish([2], to: plays) {
                order.append($0 == .stopped ? "refused" : "accepted")
            }
        }
        #expect(order == ["refused", "accepted", "stopped"])
    }
}
