import BrokerCore
import NSQWire
import TestKit

/// What happens in a world.
extension World {
    func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25:
            pass(
                Int64.random(in: 1_000_000...(chance(15) ? 6_000 : 300) * 1_000_000, using: &random)
            )
        case 25..<27: crash()
        case 27: damage()
        case 28..<32: trouble()
        default:
            takeTurn {
                for _ in 0..<Int.random(in: 1...4, using: &random) { event() }
                for client in clients where chance(80) { arrive(client) }
            }
        }
    }

    private func event() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<32: publish()
        case 32..<39: subscribe()
        case 39..<50: ready()
        case 50..<80: settle()
        case 80..<83: somebody().map { cut($0) }
        case 83: somebody().map { close($0) }
        case 84..<88: somebody().map { arrive($0, Int.random(in: 1...200, using: &random)) }
        case 88..<91: somebody().map { $0.isReading.toggle() }
        case 91..<96: pause()
        case 96: createChannel()
        case 97: empty()
        case 98: delete()
        default: readAgain()
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
            promises.newMessage(
                to: topic,
                bodyBytes: Int.random(
                    in: MessageBody.headBytes...(chance(10) ? bodyBytes : min(bodyBytes, 300)),
                    using: &random))
        }
        let bodies = numbers.map { MessageBody.bytes($0, count: promises[$0].bodyBytes) }
        note("publish \(numbers) to \(topic)")
        var bytes: [UInt8] = []
        var delay = 0
        if count > 1 {
            promises.begun.insert(topic)
            Command.appendMultiPublish(topic, bodies, to: &bytes)
        } else if chance(25) {
            delay = Int.random(in: 1...5_000, using: &random)
            Command.deferredPublish(topic, afterMilliseconds: delay)
                .append(body: bodies[0], to: &bytes)
        } else {
            Command.publish(topic).append(body: bodies[0], to: &bytes)
        }
        client.say(bytes, .publish(topic, numbers, delay: Int64(delay) * 1_000_000))
    }

    // MARK: Consumers

    private func somebody() -> SimulatedClient? { clients.randomElement(using: &random) }

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
        if chance(80) { sayReady(client) }
    }

    private func ready() { consumer().map { sayReady($0) } }

    private func sayReady(_ client: SimulatedClient) {
        let count = [0, 1, 2, 10, 100].randomElement(using: &random)!
        client.say(.ready(count: count), .ready(count))
    }

    private func settle() {
        guard let client = consumer() else { return }
        let held = client.held.keys.sorted().shuffled(using: &random)
        let verb = Int.random(in: 0..<10, using: &random)
        for number in held.prefix(Int.random(in: 0...held.count, using: &random)) {
            let id = client.held[number]!.id
            switch verb {
            case 0..<6:
                note("FIN \(number) by \(client.session.id)")
                client.say(.finish(id), .finish(number))
            case 6: client.say(.touch(id))
            default:
                let delay = chance(50) ? 0 : Int.random(in: 1...4_000, using: &random)
                note("REQ \(number) by \(client.session.id) for \(delay) ms")
                client.say(
                    .requeue(id, afterMilliseconds: delay),
                    .requeue(number, delay: Int64(delay) * 1_000_000))
            }
        }
    }

    private func close(_ client: SimulatedClient) {
        guard case .consumer = client.role, client.hasSubscribed, !client.isClosing else { return }
        // Twice would be an error.
        client.isClosing = true
        client.say(.close, .close)
    }

    private func readAgain() {
        for client in clients where !client.isReading {
            client.isReading = true
            flush([client.session])
        }
    }

    // MARK: Control

    private func someTopic() -> TopicName { Self.topics[Int.random(in: 0...2, using: &random)] }

    private func someChannel() -> (TopicName, ChannelName)? {
        let topic = someTopic()
        guard let names = promises.topics[topic]?.names, !names.isEmpty else { return nil }
        return (topic, names.randomElement(using: &random)!)
    }

    private func pause() {
        let isPaused = chance(30)
        if chance(50), let (topic, channel) = someChannel() {
            note("pause \(topic)/\(channel): \(isPaused)")
            guard broker.pauseChannel(channel, of: topic, isPaused, at: now) else { return }
            promises.pause(channel, of: topic, isPaused)
        } else {
            let topic = someTopic()
            note("pause \(topic): \(isPaused)")
            if broker.pauseTopic(topic, isPaused, at: now) { promises.pause(topic, isPaused) }
        }
    }

    private func createChannel() {
        let topic = someTopic()
        let channel = Self.channels[Int.random(in: 0...1, using: &random)]
        note("create \(topic)/\(channel)")
        if chance(50) {
            broker.createTopic(topic, at: now)
            promises.create(topic)
        }
        guard broker.createChannel(channel, of: topic, at: now) else { return }
        promises.create(channel, of: topic)
    }

    private func empty() {
        if chance(70), let (topic, channel) = someChannel() {
            note("empty \(topic)/\(channel)")
            guard broker.emptyChannel(channel, of: topic, at: now) else { return }
            promises.empty(channel, of: topic)
            for client in clients where client.hasSubscribed(to: topic, channel) {
                client.held = [:]
            }
        } else {
            let topic = someTopic()
            note("empty \(topic)")
            if broker.emptyTopic(topic, at: now) { promises.empty(topic) }
        }
    }

    private func delete() {
        if chance(80), let (topic, channel) = someChannel() {
            note("delete \(topic)/\(channel)")
            guard broker.deleteChannel(channel, of: topic, at: now) else { return }
            promises.delete(channel, of: topic)
        } else {
            let topic = someTopic()
            note("delete \(topic)")
            if broker.deleteTopic(topic, at: now) { promises.delete(topic) }
        }
    }

    // MARK: Ends and damage

    private func crash() {
        if chance(50) {
            // It dies in the middle of what it does next.
            disk.callsToLive = Int.random(in: 0...6, using: &random)
            note("has \(disk.callsToLive!) calls to live")
        } else {
            leaveUncertain()
            restart(after: chance(60) ? .kill : .powerCut)
        }
    }

    private func trouble() {
        var troubles = SimulatedDisk.Troubles()
        switch Int.random(in: 0..<8, using: &random) {
        case 0: troubles.writes = [10, 50, 100].randomElement(using: &random)!
        case 1: troubles.reads = [20, 100].randomElement(using: &random)!
        case 2: troubles.syncs = [50, 100].randomElement(using: &random)!
        case 3: troubles.capacity = disk.usedBytes + Int.random(in: 0...5_000, using: &random)
        default: break
        }
        note("\(troubles)")
        disk.troubles = troubles
    }

    private func damage() {
        guard chance(30), let file = disk.contents.keys.sorted().randomElement(using: &random),
            let bytes = disk.contents[file]?.cached.bytes, !bytes.isEmpty
        else { return }
        let offset = Int.random(in: 0..<bytes.count, using: &random)
        let hit = JournalEye(bytes: bytes).hit(at: offset)
        note("damage at \(offset) of file \(file): \(hit)")
        disk.flip(bit: Int.random(in: 0..<8, using: &random), of: file, at: offset)
        promises.damaged(hit)
        isDamaged = true
    }
}
