import NSQClient
import NSQWire
import Testing
import UVLoop

@Suite struct `A producer` {
    private func options(_ change: (inout Producer.Options) -> Void = { _ in }) -> Producer.Options
    {
        var options = Producer.Options()
        options.client.shortestPause = .milliseconds(1)
        options.client.longestPause = .milliseconds(5)
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
            #expect(producer.underWay == 100)
        }
        #expect(completed == Array(0..<100))
        #expect(errors.isEmpty)
    }

    @Test func `sends PUB, MPUB and DPUB as nsqd wants them`() throws {
        try withNSQD { loop, nsqd in
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { _ in }
            producer.publish([2], to: plays, after: .microseconds(1500)) { _ in }
            producer.publish(PublishBatch([[3], [4, 5]]), to: plays) { error in
                #expect(error == nil)
                let heard = nsqd.connections[0]
                #expect(
                    heard.commands == [
                        .identify, .publish(plays),
                        .deferredPublish(plays, afterMilliseconds: 2), .multiPublish(plays),
                    ])
                #expect(
                    heard.bodies.dropFirst() == [
                        [1], [2], [0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0, 0, 2, 4, 5],
                    ])
                producer.stop { loop.stop() }
            }
        }
    }

    @Test func `refuses what nsqd would hang up on`() throws {
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

    @Test func `keeps to its window, lets some wait, and refuses the rest`() throws {
        var refused = 0
        var completed = 0
        try withNSQD { loop, nsqd in
            let bounded = options {
                $0.window = 3
                $0.mostWaiting = 4
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: bounded)
            var unanswered = 0
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                unanswered += 1
                #expect(unanswered <= 3)
                let answer = Timer(on: loop)
                answer.start(after: .milliseconds(2)) {
                    unanswered -= 1
                    connection.ok()
                    answer.close()
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

    @Test func `lets publishes wait when the window is full of bytes`() throws {
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

    @Test func `tells what is unknown and what was not sent when the connection breaks`() throws {
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
            loop.endOfTurn = {
                guard outcomes.count == 5 else { return }
                #expect(outcomes[0] == nil)
                for lost in outcomes[1...3] {
                    guard case .connectionLost(address, _) = lost else {
                        Issue.record("\(String(describing: lost)) is not a lost connection")
                        continue
                    }
                }
                guard case .unreachable(address, _) = outcomes[4] else {
                    Issue.record("\(String(describing: outcomes[4])) was not sent")
                    return
                }
            }
        }
        #expect(outcomes.count == 5)
    }

    @Test func `passes an error on to the publish it answers`() throws {
        var outcomes: [NSQError?] = []
        var address = ""
        try withNSQD { loop, nsqd in
            address = "\(nsqd.address)"
            nsqd.script = { connection, command, body in
                guard case .publish = command, body.text == "2" else { return false }
                connection.error("E_BAD_MESSAGE PUB message too big 2 > 1")
                connection.stream.shutdown { _ in connection.close() }
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            for text in ["1", "2", "3"] {
                producer.publish(Array(text.utf8), to: plays) { error in
                    outcomes.append(error)
                    if outcomes.count == 3 { producer.stop { loop.stop() } }
                }
            }
        }
        let answer = "E_BAD_MESSAGE PUB message too big 2 > 1"
        #expect(
            outcomes == [
                nil, .refused(address: address, answer: answer),
                .connectionLost(address: address, reason: "closed after " + answer),
            ])
    }

    @Test func `says of a publish in the pause that it was not sent`() throws {
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
        guard case .unreachable = inPause else {
            Issue.record("\(String(describing: inPause))")
            return
        }
    }

    @Test func `connects again and goes on`() throws {
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
                    if case .connectionLost = error { lost += 1 }
                    guard error == nil else { return }
                    again.close()
                    producer.stop { loop.stop() }
                }
            }
        }
        #expect(lost >= 2)
    }

    @Test func `fails at once with the address and the reason while nsqd is away`() throws {
        var outcomes: [NSQError?] = []
        var address = ""
        try withNSQD { loop, nsqd in
            address = "\(nsqd.address)"
            nsqd.close()
            let slow = options { $0.client.shortestPause = .seconds(60) }
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
    func `hangs up on an answer it did not ask for`(text: String) throws {
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
            // The producer must outlive the scene.
            loop.endOfTurn = { withExtendedLifetime(producer) {} }
        }
    }

    @Test func `hangs up on a frame of 2 GB, and on garbage, and says so`() throws {
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
            #expect(outcome?.description.contains("sent what is no frame") == true)
        }
    }

    @Test func `gives up an nsqd that accepts and says nothing`() throws {
        var outcome: NSQError?
        try withNSQD { loop, nsqd in
            nsqd.script = { _, _, _ in true }
            let hasty = options { $0.client.connectTimeout = .milliseconds(20) }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: hasty)
            producer.start()
            producer.publish([1], to: plays) { error in
                outcome = error
                producer.stop { loop.stop() }
            }
        }
        #expect(outcome?.description.hasSuffix("no answer within 0.02 seconds") == true)
    }

    @Test func `gives up a connection without heartbeats`() throws {
        var outcome: NSQError?
        try withNSQD { loop, nsqd in
            nsqd.script = { _, command, _ in command == .publish(plays) }
            let brisk = options { $0.client.heartbeatInterval = .milliseconds(10) }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: brisk)
            producer.start()
            producer.publish([1], to: plays) { error in
                outcome = error
                producer.stop { loop.stop() }
            }
        }
        #expect(outcome?.description.contains("no heartbeat for") == true)
    }

    @Test func `waits with its stop for the answers, and takes nothing more`() throws {
        var order: [String] = []
        try withNSQD { loop, nsqd in
            nsqd.script = { connection, command, _ in
                guard case .publish = command else { return false }
                let answer = Timer(on: loop)
                answer.start(after: .milliseconds(5)) {
                    connection.ok()
                    answer.close()
                }
                return true
            }
            let producer = ProducerEngine(on: loop, nsqd: nsqd.address, options: options())
            producer.start()
            producer.publish([1], to: plays) { order.append($0 == nil ? "accepted" : "failed") }
            producer.stop {
                order.append("stopped")
                producer.stop { loop.stop() }
            }
            producer.publish([2], to: plays) { order.append($0 == .stopped ? "refused" : "taken") }
        }
        #expect(order == ["refused", "accepted", "stopped"])
    }
}
