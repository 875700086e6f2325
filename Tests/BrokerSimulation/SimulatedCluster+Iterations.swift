import BrokerCore
import NSQWire
import TallyBasics

/// Responses and deliveries to clients, and the checks after each loop iteration.
extension SimulatedCluster {
    func flush(_ sessions: [Session]) {
        var deliveries: [(SimulatedClient, DeliveryChecker.Delivery)] = []
        let affected = sessions.compactMap { session in clients.first { $0.session === session } }
        for client in affected { deliveries += read(client) }
        for client in clients { settle(client) }
        for (client, delivery) in deliveries { deliver(delivery, to: client) }
        for client in affected where client.isReading || client.session.isEnded {
            broker.resumeDelivery(to: client.session)
            if client.session.isEnded, !client.session.hasPendingResponses { disconnect(client) }
        }
    }

    /// Processes responses. It returns deliveries, which are checked after all responses of the
    /// iteration.
    private func read(_ client: SimulatedClient) -> [(SimulatedClient, DeliveryChecker.Delivery)] {
        guard client.isReading else {
            client.isBehind = client.isBehind || !client.session.outbox.isEmpty
            return []
        }
        let isLate = client.isBehind
        client.isBehind = false
        var deliveries: [(SimulatedClient, DeliveryChecker.Delivery)] = []
        do throws(FrameError) {
            try client.read { frame in
                switch frame.kind {
                case .response: handleResponse(client, String(decoding: frame.data, as: UTF8.self))
                case .error: handleError(client, String(decoding: frame.data, as: UTF8.self))
                case .message:
                    delivery(frame.data, to: client, isLate).map { deliveries.append((client, $0)) }
                }
            }
        } catch {
            fail("invalid frame: \(error)")
        }
        return deliveries
    }

    private func handleResponse(_ client: SimulatedClient, _ text: String) {
        guard text == "OK", case .publisher = client.role else { return }
        guard !client.unanswered.isEmpty else { return fail("an OK without a publish") }
        checker.acknowledged(client.unanswered.removeFirst())
    }

    private func handleError(_ client: SimulatedClient, _ text: String) {
        let words = text.split(separator: " ")
        switch words.first {
        case "E_PUB_FAILED", "E_MPUB_FAILED", "E_DPUB_FAILED":
            trace(text)
            guard !client.unanswered.isEmpty else { return fail("an error without a publish") }
            let numbers = client.unanswered.removeFirst()
            // After a failed sync the messages may exist.
            if !text.contains("cannot sync") { checker.refused(numbers) }
        case "E_FIN_FAILED": client.finishes.failed[client.number(of: words[2]), default: 0] += 1
        case "E_REQ_FAILED": client.requeues.failed[client.number(of: words[2]), default: 0] += 1
        case "E_TOUCH_FAILED": break
        default: fail("unexpected error \(text)")
        }
    }

    private func delivery(
        _ data: Bytes, to client: SimulatedClient, _ isLate: Bool
    ) -> DeliveryChecker.Delivery? {
        guard case .consumer(let topic, let channel) = client.role,
            let message = ReceivedMessage(data: data), let number = number(of: message, in: topic)
        else {
            fail("a message that was never published")
            return nil
        }
        return DeliveryChecker.Delivery(
            number: number, id: message.id, timestamp: message.timestampNanoseconds,
            attempts: message.attempts, body: Array(message.body), topic: topic, channel: channel,
            isLate: isLate)
    }

    private func number(of message: ReceivedMessage, in topic: TopicName) -> Int? {
        guard !topic.isFailedSet else { return failedMessage(message, in: topic) }
        guard let number = MessageBody.number(of: message.body) else { return nil }
        return topic == Self.movedTopic ? checker.movedNumbers[number] : number
    }

    private func deliver(_ delivery: DeliveryChecker.Delivery, to client: SimulatedClient) {
        trace(
            "\(delivery.topic)/\(delivery.channel) \(client.session.id): "
                + "\(delivery.number), attempt \(delivery.attempts)\(delivery.isLate ? ", late" : "")"
        )
        if disk.failures > 0 { checker.storesAllCopies = false }
        if !delivery.topic.isFailedSet,
            let violation = checker.checkDelivery(delivery, at: now.wall)
        {
            fail(violation)
        }
        let until = delivery.isLate ? 0 : now.monotonic + options.messageTimeout.nanoseconds
        client.held[delivery.number] = (delivery.id, until)
        client.numbers[delivery.id.text] = delivery.number
    }

    // MARK: Processed commands

    /// Transmits up to `count` bytes of a client and applies the effects.
    func transmit(_ client: SimulatedClient, _ count: Int = .max) {
        for effect in client.transmit(count, at: broker, now) { apply(effect, client) }
    }

    private func apply(_ effect: SimulatedClient.Effect, _ client: SimulatedClient) {
        switch effect {
        case .nothing: break
        case .publish(let topic, let numbers, let delay):
            checker.published(numbers, to: topic, due: delay > 0 ? now.wall + delay : 0)
            client.unanswered.append(numbers)
        case .subscribe:
            guard case .consumer(let topic, let channel) = client.role else { return }
            client.hasSubscribed = true
            trace("SUB \(topic)/\(channel) by \(client.session.id)")
            checker.create(channel, of: topic)
        case .ready(let count):
            guard !client.isClosing else { return }
            client.ready = count
            let isKnown = client.isReading && !client.isBehind
            client.allowance = max(
                count, isKnown ? client.inFlight(at: now.monotonic) : client.allowance)
        case .finish(let number):
            client.held[number] = nil
            client.finishes.sent.append((number, 0))
        case .requeue(let number, let delay):
            client.held[number] = nil
            client.requeues.sent.append((number, now.wall + delay))
        case .close:
            client.isClosing = true
            client.ready = 0
        }
    }

    /// Records the results of the FINs and REQs of this iteration, once their errors are read. The
    /// results are uncertain for a client that does not read.
    private func settle(_ client: SimulatedClient) {
        guard case .consumer(let topic, let channel) = client.role else { return }
        guard client.isReading else { return settleUncertain(client) }
        guard client.session.outbox.isEmpty else { return }
        for (number, _) in client.finishes.successes() {
            checker.finished(number, topic, channel, isCertain: true)
        }
        for (number, due) in client.requeues.successes() {
            checker.requeued(number, topic, channel, until: due)
        }
        client.finishes = SimulatedClient.Responses()
        client.requeues = SimulatedClient.Responses()
    }

    func settleUncertain(_ client: SimulatedClient) {
        guard case .consumer(let topic, let channel) = client.role else { return }
        for (number, _) in client.finishes.sent {
            checker.finished(number, topic, channel, isCertain: false)
        }
        client.finishes = SimulatedClient.Responses()
        client.requeues = SimulatedClient.Responses()
    }

    func settleAllUncertain() {
        for client in clients { settleUncertain(client) }
    }

    // MARK: Checks

    func check() {
        forgetMovedInFlight()
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

    /// How far the memory may exceed its limit, in bytes: by one slab of the largest size.
    private static let memoryAllowance = SlabPool.fullSlabBytes
}
