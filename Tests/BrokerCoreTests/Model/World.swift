import BrokerCore
import NSQWire
import TallyBasics
import TestKit

/// A broker and the model of its behaviour, which receive the same random events.
final class World {
    let broker: TestBroker
    var model: Model
    private var random: SeededGenerator
    /// If `true`, a loop iteration may have several events. A full ephemeral channel could then drop
    /// other messages than the model, so in such a world no channel becomes full.
    private let hasSeveralEventsPerIteration: Bool

    private var producer: TestClient
    private var clients: [Int: TestClient] = [:]
    private var lastClient = 0
    private var lastMessage = 0
    /// Each message as it was at its first delivery. Later deliveries must have the same ID and
    /// timestamp.
    private var seen: [Int: TestMessage] = [:]
    private(set) var failure: String?
    private(set) var deliveries = 0

    private static let topics = [TopicName.plays, .likes]
    private static let channels = [ChannelName.count, .archive, .brief]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        hasSeveralEventsPerIteration = seed.isMultiple(of: 2)
        let queueSize = hasSeveralEventsPerIteration ? 1_000_000 : 12
        broker = TestBroker {
            $0.seed = seed
            $0.memoryQueueSize = queueSize
            $0.maxMessageTimeout = .seconds(2)
        }
        model = Model(memoryQueueSize: queueSize, maxTimeout: 2_000_000_000)
        model.now = broker.now.monotonic
        producer = broker.client()
        broker.afterIteration = { [unowned self] in compareIteration() }
    }

    // MARK: Events

    func step() {
        let events = hasSeveralEventsPerIteration ? Int.random(in: 1...4, using: &random) : 1
        if chance(0.3) {
            pass(.milliseconds(Int.random(in: 1...(chance(0.1) ? 3_000 : 200), using: &random)))
        } else {
            broker.iteration { for _ in 0..<events { event() } }
        }
        // Timers that were due before the first client connected have not fired yet.
        broker.pass(.zero)
        expectNobodyWaits()
    }

    private func event() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25: publish()
        case 25..<30: subscribe()
        case 30..<45: ready()
        case 45..<80: settle()
        case 80..<82: leave()
        case 82..<84: close()
        case 84..<90: pause()
        case 90..<92: createChannel()
        case 92..<94: empty()
        case 94: delete()
        default: sendHeartbeatAnswers()
        }
    }

    private func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }

    private func publish() {
        let topic = Self.topics.randomElement(using: &random)!
        let count = chance(0.2) ? Int.random(in: 2...40, using: &random) : 1
        let numbers = Array(lastMessage + 1...lastMessage + count)
        lastMessage += count
        let filler = String(repeating: ".", count: chance(0.1) ? 20_000 : 10)
        let bodies = numbers.map { "\($0) \(filler)" }
        if count > 1 {
            producer.multiPublish(bodies, to: topic)
            model.publish(numbers, to: topic)
        } else if chance(0.3) {
            let delay = Int.random(in: 1...2_000, using: &random)
            producer.publish(bodies[0], to: topic, after: .milliseconds(delay))
            model.publish(numbers, to: topic, due: model.now + Int64(delay) * 1_000_000)
        } else {
            producer.publish(bodies[0], to: topic)
            model.publish(numbers, to: topic)
        }
    }

    private func subscribe() {
        guard clients.count < 8 else { return leave() }
        let topic = Self.topics.randomElement(using: &random)!
        let channel = Self.channels.randomElement(using: &random)!
        let timeout = [1_000, 1_500, 2_000].randomElement(using: &random)!
        lastClient += 1
        let client = broker.consumer(of: channel, topic) { $0.messageTimeout = timeout }
        clients[lastClient] = client
        expectedAnswers[lastClient] = [.ok, .ok]
        model.createChannel(channel, of: topic)
        model.clients[lastClient] = Model.Client(
            topic: topic, channel: channel, timeout: Int64(timeout) * 1_000_000)
    }

    private func someClient() -> (Int, TestClient)? {
        clients.sorted { $0.key < $1.key }.filter {
            !$0.value.isDisconnected && model.clients[$0.key] != nil
        }
        .randomElement(using: &random)
    }

    private func ready() {
        guard let (id, client) = someClient() else { return }
        let count = [0, 1, 2, 10, 100, 2_500].randomElement(using: &random)!
        client.send(.ready(count: count))
        if model.clients[id]!.isClosing { return }
        model.clients[id]!.ready = count
    }

    /// Sends FIN, REQ or TOUCH for some messages of a client, and sometimes for messages of others.
    private func settle() {
        guard let (id, client) = someClient() else { return }
        let own = model.held(by: id).sorted().shuffled(using: &random)
        var numbers = Array(own.prefix(Int.random(in: 0...own.count, using: &random)))
        let other = Int.random(in: 0...lastMessage, using: &random)
        if chance(0.1), seen[other] != nil { numbers.append(other) }
        let verb = Int.random(in: 0..<10, using: &random)
        for number in numbers {
            let message = seen[number]!
            let refusal = model.refusal(of: number, by: id)
            let name: String
            switch verb {
            case 0..<6:
                name = "FIN"
                client.finish(message)
                if refusal == nil { model.finish(number, by: id) }
            case 6...7:
                name = "TOUCH"
                client.touch(message)
                if refusal == nil { model.touch(number, by: id) }
            default:
                name = "REQ"
                let delay = chance(0.5) ? 0 : Int.random(in: 1...2_000, using: &random)
                client.requeue(message, after: .milliseconds(delay))
                let due = delay == 0 ? nil : model.now + Int64(delay) * 1_000_000
                if refusal == nil { model.requeue(number, by: id, until: due) }
            }
            expect(refusal, name, message, id)
        }
    }

    private var expectedAnswers: [Int: [Received]] = [:]

    private func expect(
        _ refusal: Model.Refusal?, _ name: String, _ message: TestMessage, _ id: Int
    ) {
        guard let refusal else { return }
        expectedAnswers[id, default: []].append(
            .error("E_\(name)_FAILED \(name) \(message.id) failed \(refusal.rawValue)"))
    }

    private func leave() {
        guard let (id, client) = someClient() else { return }
        client.leave()
        clients[id] = nil
        model.leave(id)
    }

    private func close() {
        guard let (id, client) = someClient(), !model.clients[id]!.isClosing else { return }
        client.send(.close)
        model.clients[id]!.isClosing = true
        model.clients[id]!.ready = 0
        expectedAnswers[id, default: []].append(.response("CLOSE_WAIT"))
    }

    private func someChannel() -> (TopicName, ChannelName)? {
        let topic = Self.topics.randomElement(using: &random)!
        let channel = Self.channels.randomElement(using: &random)!
        return model.topics[topic]?.channels[channel] == nil ? nil : (topic, channel)
    }

    /// Pauses or unpauses; pauses are short because unpausing is more likely.
    private func pause() {
        let isPaused = chance(0.3)
        if chance(0.5), let (topic, channel) = someChannel() {
            broker.control { $0.pauseChannel(channel, of: topic, isPaused, at: $1) }
            model.topics[topic]!.channels[channel]!.isPaused = isPaused
        } else {
            let topic = Self.topics.randomElement(using: &random)!
            broker.control { $0.pauseTopic(topic, isPaused, at: $1) }
            model.pauseTopic(topic, isPaused)
        }
    }

    private func createChannel() {
        let topic = Self.topics.randomElement(using: &random)!
        let channel = Self.channels.randomElement(using: &random)!
        guard broker.control({ $0.createChannel(channel, of: topic, at: $1) }) else { return }
        model.createChannel(channel, of: topic)
    }

    private func empty() {
        if chance(0.7), let (topic, channel) = someChannel() {
            broker.control { $0.emptyChannel(channel, of: topic, at: $1) }
            model.topics[topic]!.channels[channel]!.messages = [:]
        } else {
            let topic = Self.topics.randomElement(using: &random)!
            broker.control { $0.emptyTopic(topic, at: $1) }
            model.topics[topic]?.held = []
        }
    }

    private func delete() {
        if chance(0.8), let (topic, channel) = someChannel() {
            broker.control { $0.deleteChannel(channel, of: topic, at: $1) }
            model.deleteChannel(channel, of: topic)
        } else if chance(0.3) {
            let topic = Self.topics.randomElement(using: &random)!
            broker.control { $0.deleteTopic(topic, at: $1) }
            model.deleteTopic(topic)
        }
    }

    /// Sends NOP for some clients. The broker closes the connections of clients without data for two
    /// intervals.
    private func sendHeartbeatAnswers() {
        producer.send(.nop)
        for (_, client) in clients.sorted(by: { $0.key < $1.key }) where chance(0.9) {
            client.send(.nop)
        }
    }

    private func pass(_ duration: Duration) {
        broker.pass(duration)
        // The connection of the only producer must stay open.
        producer.send(.nop)
    }

    // MARK: Comparing

    /// Checks the messages of this iteration against the model.
    private func compareIteration() {
        model.now = broker.now.monotonic
        model.iteration += 1
        model.expire()
        for (id, client) in clients.sorted(by: { $0.key < $1.key }) where client.isDisconnected {
            model.leave(id)
            clients[id] = nil
        }
        for (id, client) in clients.sorted(by: { $0.key < $1.key }) {
            let messages = client.takeMessages()
            for message in messages { compare(message, to: id) }
            if !messages.isEmpty, model.held(by: id).count > model.clients[id]?.ready ?? 0 {
                fail("client \(id) has more in flight than RDY")
            }
            let answers = client.take().filter { $0 != .heartbeat }
            let expected = expectedAnswers[id] ?? []
            if answers != expected { fail("client \(id) was told \(answers), not \(expected)") }
        }
        expectedAnswers = [:]
        for topic in model.topics.keys {
            for channel in model.topics[topic]!.channels.keys
            where model.topics[topic]!.channels[channel]!.takeOvertaking() {
                fail("in \(topic)/\(channel) a message was overtaken")
            }
        }
        let refused = producer.take().filter { $0 != .ok && $0 != .heartbeat }
        if !refused.isEmpty { fail("the producer was told \(refused)") }
    }

    private func compare(_ message: TestMessage, to id: Int) {
        deliveries += 1
        let digits = message.body.prefix { $0 != UInt8(ascii: " ") }
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else {
            return fail("a message that nobody published: \(message.text)")
        }
        if let first = seen[number] {
            if first != message.atFirst { fail("message \(number) has changed") }
        } else {
            seen[number] = message.atFirst
        }
        if let wrong = model.deliver(number, attempts: Int(message.attempts), to: id) {
            fail(wrong)
        }
    }

    /// Checks that no message is queued while a consumer is ready for it.
    private func expectNobodyWaits() {
        for (id, client) in model.clients where client.ready > 0 {
            guard let channel = model.channel(of: client), !channel.isPaused, channel.depth > 0,
                model.held(by: id).count < client.ready
            else { continue }
            fail("\(channel.depth) messages wait in \(client.channel), and client \(id) is ready")
        }
    }

    /// Checks the broker's counters against the model's.
    func expectSameCounts() {
        let statistics = broker.statistics
        if Set(statistics.topics.map(\.name)) != Set(model.topics.keys) {
            fail("other topics: \(statistics.topics.map(\.name))")
        }
        for topic in statistics.topics {
            guard let expected = model.topics[topic.name] else { continue }
            expect(topic.depth, expected.held.count, "depth of \(topic.name)")
            expect(topic.messageCount, expected.messageCount, "messages of \(topic.name)")
            expect(topic.channels.count, expected.channels.count, "channels of \(topic.name)")
            for channel in topic.channels {
                guard let expected = expected.channels[channel.name] else {
                    return fail("there should be no \(topic.name)/\(channel.name)")
                }
                let name = "\(topic.name)/\(channel.name)"
                expect(channel.depth, expected.depth, "depth of \(name)")
                expect(channel.inFlightCount, expected.inFlightCount, "in flight of \(name)")
                expect(channel.deferredCount, expected.deferredCount, "deferred of \(name)")
                expect(channel.messageCount, expected.messageCount, "messages of \(name)")
                expect(channel.requeueCount, expected.requeueCount, "requeued of \(name)")
                expect(channel.timeoutCount, expected.timeoutCount, "timeouts of \(name)")
            }
        }
    }

    private func expect(_ count: Int, _ expected: Int, _ what: String) {
        if count != expected { fail("\(what): \(count), not \(expected)") }
    }

    private func fail(_ what: String) {
        if failure == nil { failure = what }
    }

    // MARK: The end

    /// Ends all pauses and finishes all messages, and checks that none is left.
    func finishEverything() {
        broker.iteration {
            while someClient() != nil { leave() }
            for topic in Self.topics where model.topics[topic] != nil { resume(topic) }
        }
        for _ in 1...30 {
            pass(.seconds(1))
            broker.iteration {
                for (id, client) in clients {
                    let numbers = model.held(by: id)
                    client.finish(numbers.map { seen[$0]! })
                    for number in numbers { model.finish(number, by: id) }
                    client.send(.nop)
                }
            }
        }
        for topic in model.topics.values {
            for channel in topic.channels.values where !channel.messages.isEmpty {
                fail("\(channel.messages.count) messages did not come to their end")
            }
        }
        expectSameCounts()
        expect(broker.core.memoryBytes.used, 0, "memory in use when all is done")
    }

    /// Unpauses a topic and its channels, and adds a consumer to each of them.
    private func resume(_ topic: TopicName) {
        broker.control { $0.pauseTopic(topic, false, at: $1) }
        model.pauseTopic(topic, false)
        model.createChannel(.count, of: topic)
        for channel in Self.channels where model.topics[topic]!.channels[channel] != nil {
            broker.control { $0.pauseChannel(channel, of: topic, false, at: $1) }
            model.topics[topic]!.channels[channel]!.isPaused = false
            lastClient += 1
            let client = broker.consumer(of: channel, topic, ready: 2_500)
            clients[lastClient] = client
            expectedAnswers[lastClient] = [.ok]
            model.clients[lastClient] = Model.Client(
                topic: topic, channel: channel, ready: 2_500, timeout: 60_000_000_000)
        }
    }
}
