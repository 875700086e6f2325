import BrokerCore
import NSQWire
import TestKit

/// The random events of a simulation.
extension SimulatedCluster {
    func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25:
            advanceTime(
                by:
                    Int64.random(
                        in: 1_000_000...(chance(15) ? 6_000 : 300) * 1_000_000, using: &random)
            )
        case 25..<27: crash()
        case 27: damage()
        case 28..<32: changeFaults()
        default:
            runIteration {
                for _ in 0..<Int.random(in: 1...4, using: &random) { event() }
                for client in clients where chance(80) { transmit(client) }
            }
        }
    }

    private func event() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<32: publish()
        case 32..<39: subscribe()
        case 39..<50: ready()
        case 50..<76: settle()
        case 76..<80: administer()
        case 80..<83: randomClient().map { disconnect($0) }
        case 83: randomClient().map { close($0) }
        case 84..<88: randomClient().map { transmit($0, Int.random(in: 1...200, using: &random)) }
        case 88..<91: randomClient().map { $0.isReading.toggle() }
        case 91..<94: pause()
        case 94: handOver()
        case 95: receiveHandOver()
        case 96: createChannel()
        case 97: empty()
        case 98: delete()
        default: resumeReading()
        }
    }

    // MARK: Publishers

    private func publish() {
        let publishers = clients.filter { if case .publisher = $0.role { true } else { false } }
        let client =
            publishers.count < 3 && chance(20)
            ? connect(.publisher) : publishers.randomElement(using: &random) ?? connect(.publisher)
        let topic = Self.topics[chance(50) ? 0 : Int.random(in: 0...2, using: &random)]
        for _ in 0..<(chance(20) ? 5 : 1) { publish(to: topic, by: client) }
    }

    private func publish(to topic: TopicName, by client: SimulatedClient) {
        let count = chance(30) ? Int.random(in: 2...30, using: &random) : 1
        let numbers = (0..<count).map { _ in
            checker.newMessage(
                to: topic,
                bodyBytes: Int.random(
                    in: MessageBody.headBytes...(chance(10) ? bodyBytes : min(bodyBytes, 300)),
                    using: &random))
        }
        let bodies = numbers.map { MessageBody.bytes($0, count: checker[$0].bodyBytes) }
        trace("publish \(numbers) to \(topic)")
        var bytes: [UInt8] = []
        var delay = 0
        if count > 1 {
            checker.startedTopics.insert(topic)
            Command.appendMultiPublish(topic, bodies, to: &bytes)
        } else if chance(25) {
            delay = Int.random(in: 1...5_000, using: &random)
            Command.deferredPublish(topic, afterMilliseconds: delay)
                .append(body: bodies[0], to: &bytes)
        } else {
            Command.publish(topic).append(body: bodies[0], to: &bytes)
        }
        client.send(bytes, .publish(topic, numbers, delay: Int64(delay) * 1_000_000))
    }

    // MARK: Consumers

    private func randomClient() -> SimulatedClient? { clients.randomElement(using: &random) }

    private func consumer() -> SimulatedClient? {
        clients.filter { if case .consumer = $0.role { true } else { false } }
            .randomElement(using: &random)
    }

    private func subscribe() {
        guard clients.count < 10 else { return }
        let client = connect(
            .consumer(
                Self.topics[Int.random(in: 0...2, using: &random)],
                Self.channels[chance(50) ? 0 : Int.random(in: 0...2, using: &random)]))
        if chance(80) { sendReady(client) }
    }

    private func ready() { consumer().map { sendReady($0) } }

    private func sendReady(_ client: SimulatedClient) {
        let count = [0, 1, 2, 10, 100].randomElement(using: &random)!
        client.send(.ready(count: count), .ready(count))
    }

    private func settle() {
        guard let client = consumer() else { return }
        let held = client.held.keys.sorted().shuffled(using: &random)
        let verb = Int.random(in: 0..<10, using: &random)
        for number in held.prefix(Int.random(in: 0...held.count, using: &random)) {
            let id = client.held[number]!.id
            switch verb {
            case 0..<6:
                trace("FIN \(number) by \(client.session.id)")
                client.send(.finish(id), .finish(number))
            case 6: client.send(.touch(id))
            default:
                let delay = chance(50) ? 0 : Int.random(in: 1...4_000, using: &random)
                trace("REQ \(number) by \(client.session.id) for \(delay) ms")
                client.send(
                    .requeue(id, afterMilliseconds: delay),
                    .requeue(number, delay: Int64(delay) * 1_000_000))
            }
        }
    }

    private func close(_ client: SimulatedClient) {
        guard case .consumer = client.role, client.hasSubscribed, !client.hasSentClose else {
            return
        }
        // The client sends no second CLS, which would be an error.
        client.hasSentClose = true
        client.send(.close, .close)
    }

    private func resumeReading() {
        for client in clients where !client.isReading {
            client.isReading = true
            flush([client.session])
        }
    }

    // MARK: Control

    private func randomTopic() -> TopicName { Self.topics[Int.random(in: 0...2, using: &random)] }

    private func randomChannel() -> (TopicName, ChannelName)? {
        let topic = randomTopic()
        guard let names = checker.topics[topic]?.names, !names.isEmpty else { return nil }
        return (topic, names.randomElement(using: &random)!)
    }

    private func pause() {
        let isPaused = chance(30)
        if chance(50), let (topic, channel) = randomChannel() {
            trace("pause \(topic)/\(channel): \(isPaused)")
            guard broker.pauseChannel(channel, of: topic, isPaused, at: now) else { return }
            checker.pause(channel, of: topic, isPaused)
        } else {
            let topic = randomTopic()
            trace("pause \(topic): \(isPaused)")
            if broker.pauseTopic(topic, isPaused, at: now) { checker.pause(topic, isPaused) }
        }
    }

    private func createChannel() {
        let topic = randomTopic()
        let channel = Self.channels[Int.random(in: 0...1, using: &random)]
        trace("create \(topic)/\(channel)")
        if chance(50) {
            broker.createTopic(topic, at: now)
            checker.create(topic)
        }
        guard broker.createChannel(channel, of: topic, at: now) else { return }
        checker.create(channel, of: topic)
    }

    private func empty() {
        if chance(70), let (topic, channel) = randomChannel() {
            trace("empty \(topic)/\(channel)")
            guard broker.emptyChannel(channel, of: topic, at: now) else { return }
            checker.empty(channel, of: topic)
            for client in clients where client.hasSubscribed(to: topic, channel) {
                client.held = [:]
            }
        } else {
            let topic = randomTopic()
            trace("empty \(topic)")
            if broker.emptyTopic(topic, at: now) { checker.empty(topic) }
        }
    }

    private func delete() {
        if chance(80), let (topic, channel) = randomChannel() {
            trace("delete \(topic)/\(channel)")
            guard broker.deleteChannel(channel, of: topic, at: now) else { return }
            checker.delete(channel, of: topic)
        } else {
            let topic = randomTopic()
            trace("delete \(topic)")
            if broker.deleteTopic(topic, at: now) { checker.delete(topic) }
        }
    }

    // MARK: Crashes and damage

    private func crash() {
        if chance(50) {
            // The process crashes during one of its next disk calls.
            disk.callsUntilCrash = Int.random(in: 0...6, using: &random)
            trace("has \(disk.callsUntilCrash!) disk calls until the crash")
        } else {
            settleAllUncertain()
            restart(after: chance(60) ? .kill : .powerCut)
        }
    }

    private func changeFaults() {
        var faults = SimulatedDisk.Faults()
        switch Int.random(in: 0..<8, using: &random) {
        case 0: faults.writes = [10, 50, 100].randomElement(using: &random)!
        case 1: faults.reads = [20, 100].randomElement(using: &random)!
        case 2: faults.syncs = [50, 100].randomElement(using: &random)!
        case 3: faults.capacity = disk.usedBytes + Int.random(in: 0...5_000, using: &random)
        default: break
        }
        trace("\(faults)")
        disk.faults = faults
    }

    private func damage() {
        guard chance(30), let file = disk.contents.keys.sorted().randomElement(using: &random),
            let bytes = disk.contents[file]?.cached.bytes, !bytes.isEmpty
        else { return }
        let offset = Int.random(in: 0..<bytes.count, using: &random)
        let hit = JournalDamageLocator(bytes: bytes).hit(at: offset)
        trace("damage at \(offset) of file \(file): \(hit)")
        disk.flip(bit: Int.random(in: 0..<8, using: &random), of: file, at: offset)
        checker.applyDamage(hit)
        isDamaged = true
    }
}
