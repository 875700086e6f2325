import BrokerCore
import NSQWire

/// What clients are told, and what must hold at each turn's end.
extension World {
    func flush(_ sessions: [Session]) {
        var deliveries: [(SimulatedClient, Promises.Delivery)] = []
        let told = sessions.compactMap { session in clients.first { $0.session === session } }
        for client in told { deliveries += read(client) }
        for client in clients { settle(client) }
        for (client, delivery) in deliveries { deliver(delivery, to: client) }
        for client in told where client.isReading || client.session.isEnded {
            broker.hasRoomAgain(client.session)
            if client.session.isEnded, !client.session.awaitsAnswers { cut(client) }
        }
    }

    /// Answers are taken at once; messages are looked at when all that was said in the turn is known.
    private func read(_ client: SimulatedClient) -> [(SimulatedClient, Promises.Delivery)] {
        guard client.isReading else {
            client.isBehind = client.isBehind || !client.session.outbox.isEmpty
            return []
        }
        let isLate = client.isBehind
        client.isBehind = false
        var deliveries: [(SimulatedClient, Promises.Delivery)] = []
        do throws(FrameError) {
            try client.read { frame in
                switch frame.kind {
                case .response: answered(client, String(decoding: frame.data, as: UTF8.self))
                case .error: refused(client, String(decoding: frame.data, as: UTF8.self))
                case .message:
                    delivery(frame.data, to: client, isLate).map { deliveries.append((client, $0)) }
                }
            }
        } catch {
            fail("what is no frame: \(error)")
        }
        return deliveries
    }

    private func answered(_ client: SimulatedClient, _ text: String) {
        guard text == "OK", case .publisher = client.role else { return }
        guard !client.unanswered.isEmpty else { return fail("an OK that nobody waits for") }
        promises.acknowledged(client.unanswered.removeFirst())
    }

    private func refused(_ client: SimulatedClient, _ text: String) {
        let words = text.split(separator: " ")
        switch words.first {
        case "E_PUB_FAILED", "E_MPUB_FAILED", "E_DPUB_FAILED":
            note(text)
            guard !client.unanswered.isEmpty else { return fail("an error that nobody waits for") }
            let numbers = client.unanswered.removeFirst()
            // After a sync that failed the messages may still be there.
            if !text.contains("cannot sync") { promises.refused(numbers) }
        case "E_FIN_FAILED": client.finishes.failed[client.number(of: words[2]), default: 0] += 1
        case "E_REQ_FAILED": client.requeues.failed[client.number(of: words[2]), default: 0] += 1
        case "E_TOUCH_FAILED": break
        default: fail("a client was told \(text)")
        }
    }

    private func delivery(
        _ data: Bytes, to client: SimulatedClient, _ isLate: Bool
    ) -> Promises.Delivery? {
        guard case .consumer(let topic, let channel) = client.role,
            let message = ReceivedMessage(data: data),
            let number = MessageBody.number(of: message.body)
        else {
            fail("a message that nobody published")
            return nil
        }
        return Promises.Delivery(
            number: number, id: message.id, timestamp: message.timestampNanoseconds,
            attempts: message.attempts, body: Array(message.body), topic: topic, channel: channel,
            isLate: isLate)
    }

    private func deliver(_ delivery: Promises.Delivery, to client: SimulatedClient) {
        note(
            "\(delivery.topic)/\(delivery.channel) \(client.session.id): "
                + "\(delivery.number), attempt \(delivery.attempts)\(delivery.isLate ? ", late" : "")"
        )
        if let wrong = promises.delivered(delivery, at: now.wall) { fail(wrong) }
        let until = delivery.isLate ? 0 : now.monotonic + options.messageTimeout.nanoseconds
        client.held[delivery.number] = (delivery.id, until)
        client.numbers[delivery.id.text] = delivery.number
    }

    // MARK: What the broker has taken

    /// Some of what the client said comes to the broker.
    func arrive(_ client: SimulatedClient, _ count: Int = .max) {
        for meaning in client.arrive(count, at: broker, now) { apply(meaning, client) }
    }

    private func apply(_ meaning: SimulatedClient.Meaning, _ client: SimulatedClient) {
        switch meaning {
        case .nothing: break
        case .publish(let topic, let numbers, let delay):
            promises.published(numbers, to: topic, due: delay > 0 ? now.wall + delay : 0)
            client.unanswered.append(numbers)
        case .subscribe:
            guard case .consumer(let topic, let channel) = client.role else { return }
            client.hasSubscribed = true
            note("SUB \(topic)/\(channel) by \(client.session.id)")
            promises.create(channel, of: topic)
        case .ready(let count):
            guard !client.isClosing else { return }
            client.ready = count
            let isKnown = client.isReading && !client.isBehind
            client.allowance = max(
                count, isKnown ? client.inFlight(at: now.monotonic) : client.allowance)
        case .finish(let number):
            client.held[number] = nil
            client.finishes.tried.append((number, 0))
        case .requeue(let number, let delay):
            client.held[number] = nil
            client.requeues.tried.append((number, now.wall + delay))
        case .close:
            client.isClosing = true
            client.ready = 0
        }
    }

    /// What became of the FINs and REQs of this turn; of a client that does not read, nobody knows.
    private func settle(_ client: SimulatedClient) {
        guard case .consumer(let topic, let channel) = client.role else { return }
        guard client.isReading else { return settleUncertain(client) }
        for (number, _) in client.finishes.successes() {
            promises.finished(number, topic, channel, isCertain: true)
        }
        for (number, due) in client.requeues.successes() {
            promises.requeued(number, topic, channel, until: due)
        }
        client.finishes = SimulatedClient.Settlings()
        client.requeues = SimulatedClient.Settlings()
    }

    func settleUncertain(_ client: SimulatedClient) {
        guard case .consumer(let topic, let channel) = client.role else { return }
        for (number, _) in client.finishes.tried {
            promises.finished(number, topic, channel, isCertain: false)
        }
        client.finishes = SimulatedClient.Settlings()
        client.requeues = SimulatedClient.Settlings()
    }

    func leaveUncertain() {
        for client in clients { settleUncertain(client) }
    }

    // MARK: What must hold

    func check() {
        for client in clients where client.isReading && !client.isBehind {
            let count = client.inFlight(at: now.monotonic)
            if count > client.allowance {
                fail("client \(client.session.id) has \(count) in flight, and RDY \(client.ready)")
            }
            client.allowance = max(client.ready, min(client.allowance, count))
        }
        let used = broker.memoryBytes.used
        if used > options.maxMemoryBytes + Self.memoryAllowance {
            fail("\(used) bytes of messages in memory, and \(options.maxMemoryBytes) are allowed")
        }
    }

    /// A slab more than was asked for, and some that are read back.
    private static let memoryAllowance = 3 << 20
}
