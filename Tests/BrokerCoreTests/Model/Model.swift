import NSQWire

/// A simple model of NSQ: the state of each message in each channel. It does not predict the consumer
/// of a message, but checks that the consumer was allowed to receive it.
struct Model {
    struct Message {
        var state = State.waiting(since: 0)
        var attempts = 0
    }

    enum State: Equatable {
        /// The message is queued since the iteration of this number.
        case waiting(since: Int)
        case deferred(until: Int64)
        case inFlight(client: Int, since: Int64, until: Int64)
    }

    struct Channel {
        var messages: [Int: Message] = [:]
        var isPaused = false
        var messageCount = 0
        var requeueCount = 0
        var timeoutCount = 0
        /// Of the messages that were delivered in this iteration, the number of the latest iteration
        /// in which one of them was queued.
        var latestTaken = 0

        func count(_ matches: (State) -> Bool) -> Int {
            messages.values.count { matches($0.state) }
        }

        var depth: Int { count { if case .waiting = $0 { true } else { false } } }
        var deferredCount: Int { count { if case .deferred = $0 { true } else { false } } }
        var inFlightCount: Int { count { if case .inFlight = $0 { true } else { false } } }
    }

    struct Topic {
        var channels: [ChannelName: Channel] = [:]
        /// The messages that the topic has not dispatched to a channel, deferred ones with their
        /// deadline.
        var held: [(number: Int, due: Int64?)] = []
        var isPaused = false
        var messageCount = 0

        var isHolding: Bool { isPaused || channels.isEmpty }
    }

    struct Client {
        var topic: TopicName
        var channel: ChannelName
        var ready = 0
        var timeout: Int64
        var isClosing = false
    }

    /// Why a command about a message fails.
    enum Refusal: String {
        case notInFlight = "ID not in flight"
        case notOwner = "client does not own message"
    }

    var topics: [TopicName: Topic] = [:]
    var clients: [Int: Client] = [:]
    let memoryQueueSize: Int
    let maxTimeout: Int64
    var now: Int64 = 0
    var iteration = 0

    // MARK: Publishing

    mutating func publish(_ numbers: [Int], to name: TopicName, due: Int64? = nil) {
        topics[name, default: Topic()].messageCount += numbers.count
        topics[name]!.held += numbers.map { ($0, due) }
        handOver(name)
    }

    private mutating func handOver(_ name: TopicName) {
        guard let topic = topics[name], !topic.isHolding else { return }
        topics[name]!.held = []
        let plain = topic.held.filter { $0.due == nil }.map(\.number)
        for (channelName, channel) in topic.channels {
            let room = channelName.isEphemeral ? memoryQueueSize - channel.depth : .max
            var channel = channel
            channel.messageCount += topic.held.count
            for number in plain.prefix(max(0, room)) {
                channel.messages[number] = Message(state: .waiting(since: iteration))
            }
            for case (let number, let due?) in topic.held {
                channel.messages[number] = Message(state: .deferred(until: due))
            }
            topics[name]!.channels[channelName] = channel
        }
    }

    // MARK: Topics and channels

    mutating func createChannel(_ name: ChannelName, of topic: TopicName) {
        guard topics[topic, default: Topic()].channels[name] == nil else { return }
        topics[topic, default: Topic()].channels[name] = Channel()
        handOver(topic)
    }

    mutating func pauseTopic(_ name: TopicName, _ isPaused: Bool) {
        topics[name]?.isPaused = isPaused
        handOver(name)
    }

    mutating func deleteChannel(_ name: ChannelName, of topic: TopicName) {
        topics[topic]?.channels[name] = nil
        clients = clients.filter { $0.value.topic != topic || $0.value.channel != name }
    }

    mutating func deleteTopic(_ name: TopicName) {
        topics[name] = nil
        clients = clients.filter { $0.value.topic != name }
    }

    // MARK: Clients

    mutating func leave(_ client: Int) {
        guard let gone = clients.removeValue(forKey: client) else { return }
        change(gone) { [iteration] channel in
            for (number, message) in channel.messages {
                if case .inFlight(client, _, _) = message.state {
                    channel.messages[number]!.state = .waiting(since: iteration)
                }
            }
        }
        guard gone.channel.isEphemeral, !clients.values.contains(where: { $0.hears(gone) })
        else { return }
        deleteChannel(gone.channel, of: gone.topic)
    }

    private mutating func change(_ client: Client, _ body: (inout Channel) -> Void) {
        guard topics[client.topic]?.channels[client.channel] != nil else { return }
        body(&topics[client.topic]!.channels[client.channel]!)
    }

    func channel(of client: Client) -> Channel? { topics[client.topic]?.channels[client.channel] }

    /// The numbers of the messages in flight to the client.
    func held(by id: Int) -> [Int] {
        guard let client = clients[id], let channel = channel(of: client) else { return [] }
        return channel.messages.filter {
            if case .inFlight(id, _, _) = $0.value.state { true } else { false }
        }.map(\.key)
    }

    // MARK: Messages

    /// - Returns: why FIN, REQ or TOUCH of a message fails; `nil` if it succeeds.
    func refusal(of number: Int, by id: Int) -> Refusal? {
        guard case .inFlight(let owner, _, _) = channel(of: clients[id]!)?.messages[number]?.state
        else { return .notInFlight }
        return owner == id ? nil : .notOwner
    }

    mutating func finish(_ number: Int, by id: Int) {
        change(clients[id]!) { $0.messages[number] = nil }
    }

    mutating func requeue(_ number: Int, by id: Int, until due: Int64?) {
        change(clients[id]!) { [iteration] channel in
            channel.messages[number]!.state =
                due.map { .deferred(until: $0) } ?? .waiting(since: iteration)
            channel.requeueCount += 1
        }
    }

    mutating func touch(_ number: Int, by id: Int) {
        let client = clients[id]!
        change(client) { [now, maxTimeout] channel in
            guard case .inFlight(_, let since, _) = channel.messages[number]!.state else { return }
            channel.messages[number]!.state = .inFlight(
                client: id, since: since, until: min(now + client.timeout, since + maxTimeout))
        }
    }

    /// Queues the messages that are due.
    mutating func expire() {
        for topic in topics.keys {
            for channel in topics[topic]!.channels.keys {
                topics[topic]!.channels[channel]!.expire(at: now, iteration: iteration)
            }
        }
    }

    /// Records a delivery.
    ///
    /// - Returns: why the delivery is wrong; `nil` if it is right.
    mutating func deliver(_ number: Int, attempts: Int, to id: Int) -> String? {
        guard let client = clients[id] else { return "client \(id) should have been hung up on" }
        guard let channel = channel(of: client), let message = channel.messages[number] else {
            return "message \(number) is none of \(client.channel)'s"
        }
        guard case .waiting(let waitedSince) = message.state else {
            return "message \(number) is \(message.state) at \(now)"
        }
        guard attempts == message.attempts + 1 else {
            return "message \(number) has \(attempts) attempts, not \(message.attempts + 1)"
        }
        guard !channel.isPaused, !client.isClosing else { return "client \(id) takes no messages" }
        change(client) { [now] channel in
            channel.messages[number] = Message(
                state: .inFlight(client: id, since: now, until: now + client.timeout),
                attempts: attempts)
            channel.latestTaken = max(channel.latestTaken, waitedSince)
        }
        return nil
    }
}

extension Model.Channel {
    fileprivate mutating func expire(at now: Int64, iteration: Int) {
        for (number, message) in messages {
            switch message.state {
            case .deferred(let due) where due <= now: break
            case .inFlight(_, _, let due) where due <= now: timeoutCount += 1
            default: continue
            }
            messages[number]!.state = .waiting(since: iteration)
        }
    }

    /// Returns `true` if a message was delivered in this iteration before one that was queued
    /// earlier.
    mutating func takeOvertaking() -> Bool {
        defer { latestTaken = 0 }
        return latestTaken > 0
            && messages.values.contains {
                if case .waiting(let since) = $0.state { since < latestTaken } else { false }
            }
    }
}

extension Model.Client {
    func hears(_ other: Model.Client) -> Bool { topic == other.topic && channel == other.channel }
}
