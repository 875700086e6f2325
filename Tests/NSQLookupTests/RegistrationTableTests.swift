import NSQWire
import TallyBasics
import Testing

@testable import NSQLookup

private func topic(_ name: String) -> TopicName { TopicName(name)! }
private func channel(_ name: String) -> ChannelName { ChannelName(name)! }

private func time(_ seconds: Double) -> Timestamp {
    Timestamp(
        monotonic: Int64(seconds * 1e9), wall: Int64(seconds * 1e9) + 1_700_000_000_000_000_000)
}

/// A table with nsqds that are named by their numbers.
private struct Fixture {
    var table: RegistrationTable

    init(nsqds: Int = 1, _ change: (inout RegistrationTable.Limits) -> Void = { _ in }) {
        var limits = RegistrationTable.Limits()
        change(&limits)
        table = RegistrationTable(limits)
        for number in 1...nsqds { connect(number, at: 0) }
    }

    mutating func connect(_ number: Int, at seconds: Double) {
        var info = PeerInfo()
        info.broadcastAddress = "nsqd\(number)"
        info.httpPort = 4151
        info.tcpPort = 4150
        info.version = "1.3.0"
        table.add(PeerID(number), info, at: time(seconds))
    }

    mutating func register(_ name: String, _ child: String? = nil, by number: Int = 1) throws {
        _ = try table.register(
            topic(name), child.map(channel), by: PeerID(number), at: time(0))
    }

    func producers(of name: String, at seconds: Double) -> [String] {
        table.producers(of: TopicSelection(name), at: time(seconds)).map(\.broadcastAddress)
    }
}

@Suite struct `The registration table` {
    @Test func `keeps topics and channels whose last nsqd has disconnected`() throws {
        var fixture = Fixture()
        try fixture.register("plays", "counts")
        try fixture.register("plays", "temp#ephemeral")
        let removed = fixture.table.remove(PeerID(1))
        #expect(
            removed == [
                .topic(topic("plays")), .channel(topic("plays"), channel("counts")),
                .channel(topic("plays"), channel("temp#ephemeral")), .client,
            ])
        #expect(fixture.table.topicNames == ["plays"])
        #expect(fixture.table.channelNames(of: TopicSelection("plays")).count == 2)
        #expect(fixture.producers(of: "plays", at: 0) == [])
        #expect(fixture.table.peerCount == 0)
        #expect(fixture.table.entryCount == 3)
    }

    @Test func `reports only registrations that are new`() throws {
        var fixture = Fixture()
        let first = try fixture.table.register(
            topic("plays"), channel("counts"), by: PeerID(1), at: time(0))
        #expect(first == [.channel(topic("plays"), channel("counts")), .topic(topic("plays"))])
        let again = try fixture.table.register(
            topic("plays"), channel("counts"), by: PeerID(1), at: time(0))
        #expect(again == [])
    }

    @Test func `removes ephemeral channels and topics that their last nsqd unregisters`() throws {
        var fixture = Fixture(nsqds: 2)
        for number in 1...2 { try fixture.register("t#ephemeral", "c#ephemeral", by: number) }
        let selection = TopicSelection("t#ephemeral")
        for (number, left) in [(1, 1), (2, 0)] {
            _ = fixture.table.unregister(
                topic("t#ephemeral"), channel("c#ephemeral"), by: PeerID(number))
            #expect(fixture.table.channelNames(of: selection).count == left)
        }
        for (number, left) in [(1, 1), (2, 0)] {
            _ = fixture.table.unregister(topic("t#ephemeral"), nil, by: PeerID(number))
            #expect(fixture.table.topicCount == left)
        }
        #expect(fixture.table.entryCount == 0)
    }

    @Test func `unregisters the channels of a topic with it`() throws {
        var fixture = Fixture()
        try fixture.register("plays", "a")
        try fixture.register("plays", "b")
        let result = fixture.table.unregister(topic("plays"), nil, by: PeerID(1))
        #expect(result.expected == .topic(topic("plays")))
        #expect(
            result.unexpected == [
                .channel(topic("plays"), channel("a")), .channel(topic("plays"), channel("b")),
            ])
        #expect(fixture.table.channelNames(of: TopicSelection("plays")) == ["a", "b"])
    }

    @Test func `lists an nsqd until its last ping is older than the timeout`() throws {
        var fixture = Fixture { $0.inactiveProducerTimeout = .seconds(10) }
        try fixture.register("plays")
        #expect(fixture.producers(of: "plays", at: 10) == ["nsqd1"])
        #expect(fixture.producers(of: "plays", at: 10.1) == [])
        #expect(fixture.table.nodes(at: time(10.1)) == [])
        #expect(fixture.table.ping(from: PeerID(1), at: time(11)) == .seconds(11))
        #expect(fixture.producers(of: "plays", at: 21) == ["nsqd1"])
        #expect(fixture.table.ping(from: PeerID(2), at: time(11)) == nil)
    }

    @Test func `does not list a tombstoned nsqd for the topic until the lifetime has passed`()
        throws
    {
        var fixture = Fixture(nsqds: 2) { $0.tombstoneLifetime = .seconds(45) }
        for name in ["a", "b"] {
            for number in 1...2 { try fixture.register(name, by: number) }
        }
        fixture.table.tombstone(TopicSelection("a"), node: "nsqd1:4151", at: time(1))
        #expect(fixture.producers(of: "a", at: 45.9) == ["nsqd2"])
        #expect(fixture.producers(of: "b", at: 2) == ["nsqd1", "nsqd2"])
        let node = try #require(fixture.table.nodes(at: time(2)).first)
        #expect(node.topics.map(\.isTombstoned) == [true, false])
        #expect(fixture.producers(of: "a", at: 46) == ["nsqd1", "nsqd2"])
    }

    @Test func `forgets the tombstone of an nsqd that registers again`() throws {
        var fixture = Fixture()
        try fixture.register("plays")
        fixture.table.tombstone(TopicSelection("plays"), node: "nsqd1:4151", at: time(1))
        try fixture.register("plays")
        #expect(fixture.producers(of: "plays", at: 2) == [])
        _ = fixture.table.unregister(topic("plays"), nil, by: PeerID(1))
        try fixture.register("plays")
        #expect(fixture.producers(of: "plays", at: 2) == ["nsqd1"])
    }

    @Test func `deletes a topic with its channels and the registrations of its nsqds`() throws {
        var fixture = Fixture()
        try fixture.register("plays", "counts")
        #expect(
            fixture.table.deleteTopics(TopicSelection("plays"))
                == [.channel(topic("plays"), channel("counts")), .topic(topic("plays"))])
        #expect(fixture.table.nodes(at: time(0)).first?.topics.isEmpty == true)
        #expect(fixture.table.entryCount == 0)
        #expect(fixture.table.deleteTopics(TopicSelection("plays")) == [])
        #expect(fixture.table.remove(PeerID(1)) == [.client])
    }

    @Test func `selects every topic with an asterisk, and none with an invalid name`() throws {
        var fixture = Fixture()
        try fixture.register("a", "x")
        try fixture.register("b", "x")
        #expect(fixture.table.channelNames(of: TopicSelection("*")) == ["x", "x"])
        #expect(fixture.producers(of: "*", at: 0) == ["nsqd1"])
        #expect(!fixture.table.hasTopic(TopicSelection("a b")))
        #expect(fixture.table.deleteTopics(TopicSelection("*")).count == 4)
    }

    /// A registration with a channel adds up to four entries, one for a topic alone up to two.
    @Test(arguments: [(5, false), (6, true)])
    func `accepts a registration if the entries that it may add are within the limit`(
        maxEntries: Int, isAccepted: Bool
    ) throws {
        var fixture = Fixture { $0.maxEntries = maxEntries }
        try fixture.register("a")
        #expect(fixture.table.entryCount == 2)
        do {
            try fixture.register("b", "x")
            #expect(isAccepted)
        } catch {
            #expect(!isAccepted)
        }
        #expect(fixture.table.entryCount == (isAccepted ? 6 : 2))
    }

    @Test func `refuses registrations beyond its limit, and accepts repeated ones`() throws {
        var fixture = Fixture { $0.maxEntries = 5 }
        try fixture.register("a", "x")
        #expect(fixture.table.entryCount == 4)
        #expect(throws: RegistrationLimitReached()) { try fixture.register("a", "y") }
        #expect(fixture.table.entryCount == 4)
        try fixture.register("a", "x")
        try fixture.table.createTopic(topic("b"))
        #expect(throws: RegistrationLimitReached()) { try fixture.table.createTopic(topic("c")) }
        #expect(throws: RegistrationLimitReached()) {
            try fixture.table.createChannel(channel("y"), of: topic("a"))
        }
        try fixture.table.createTopic(topic("b"))
        #expect(fixture.table.entryCount == 5)
    }

    @Test func `counts its entries after any sequence of changes`() throws {
        var generator = SplitMix64(seed: 7)
        var fixture = Fixture(nsqds: 3)
        let names = ["a", "b", "c#ephemeral"]
        for _ in 0..<20_000 {
            let name = names.randomElement(using: &generator)!
            let child =
                Bool.random(using: &generator) ? names.randomElement(using: &generator) : nil
            let number = Int.random(in: 1...3, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0...1: try fixture.register(name, child, by: number)
            case 2:
                _ = fixture.table.unregister(
                    topic(name), child.map(channel), by: PeerID(number))
            case 3: _ = fixture.table.deleteTopics(TopicSelection(name))
            case 4: _ = fixture.table.deleteChannel(channel(child ?? "a"), of: topic(name))
            default:
                _ = fixture.table.remove(PeerID(number))
                fixture.connect(number, at: 0)
            }
            #expect(fixture.table.entryCount == fixture.table.countedEntries)
        }
    }
}

extension RegistrationTable {
    /// The number of entries, counted anew from the topics and channels, and checked against those of
    /// the peers.
    fileprivate var countedEntries: Int {
        let topicPeers = topics.values.reduce(0) { $0 + $1.producers.count }
        let channelPeers = channels.values.reduce(0) {
            $0 + $1.values.reduce(0) { $0 + $1.count }
        }
        #expect(peers.values.reduce(0) { $0 + $1.topics.count } == topicPeers)
        let peerChannels = peers.values.reduce(0) {
            $0 + $1.channels.values.reduce(0) { $0 + $1.count }
        }
        #expect(peerChannels == channelPeers)
        return topicCount + channelCount + topicPeers + channelPeers
    }
}

@Suite struct `The state of before a restart` {
    @Test func `contains topics, channels and tombstones, but nothing ephemeral`() throws {
        var fixture = Fixture()
        try fixture.register("plays", "counts")
        try fixture.register("plays", "temp#ephemeral")
        try fixture.register("temp#ephemeral")
        try fixture.table.createTopic(topic("empty"))
        fixture.table.tombstone(TopicSelection("plays"), node: "nsqd1:4151", at: time(10))
        let state = try LookupState(parsing: LookupState(of: fixture.table, at: time(20)).json)

        var restored = Fixture()
        // The restart takes 5 seconds; the monotonic clock may begin anew.
        let now = Timestamp(monotonic: 3_000_000_000, wall: time(25).wall)
        state.restore(&restored.table, at: now)
        #expect(restored.table.topicNames == ["empty", "plays"])
        #expect(restored.table.channelNames(of: TopicSelection("plays")) == ["counts"])
        // 15 seconds of the tombstone's lifetime of 45 seconds have passed.
        _ = try restored.table.register(topic("plays"), nil, by: PeerID(1), at: now)
        func listed(after seconds: Int) -> Int {
            restored.table.producers(of: TopicSelection("plays"), at: now + .seconds(seconds)).count
        }
        #expect(listed(after: 29) == 0)
        #expect(listed(after: 30) == 1)
    }

    @Test func `is restored completely, even above the limit`() throws {
        var fixture = Fixture()
        try fixture.register("a", "x")
        try fixture.register("b", "y")
        let state = LookupState(of: fixture.table, at: time(0))
        var small = Fixture { $0.maxEntries = 1 }
        state.restore(&small.table, at: time(0))
        #expect(LookupState(of: small.table, at: time(0)) == state)
        #expect(throws: RegistrationLimitReached()) { try small.table.createTopic(topic("c")) }
    }

    @Test func `does not change while nsqds only connect, ping and disconnect`() throws {
        var fixture = Fixture()
        try fixture.register("plays", "counts")
        let revision = fixture.table.revision
        _ = fixture.table.ping(from: PeerID(1), at: time(1))
        _ = fixture.table.remove(PeerID(1))
        fixture.connect(2, at: 2)
        try fixture.register("plays", "counts", by: 2)
        #expect(fixture.table.revision == revision)
    }

    @Test func `omits tombstones whose lifetime has passed`() throws {
        var fixture = Fixture()
        try fixture.register("plays")
        fixture.table.tombstone(TopicSelection("plays"), node: "nsqd1:4151", at: time(0))
        #expect(LookupState(of: fixture.table, at: time(44)).topics[0].tombstones.count == 1)
        #expect(LookupState(of: fixture.table, at: time(45)).topics[0].tombstones.isEmpty)
    }

    @Test(arguments: [
        "", "{}", #"{"version":2,"topics":[]}"#, #"{"version":1,"topics":[{}]}"#,
        #"{"version":1,"topics":[{"name":"a b","exists":true,"channels":[],"tombstones":[]}]}"#,
        #"{"version":1,"topics":[{"name":"a","exists":true,"channels":["?"],"tombstones":[]}]}"#,
        #"{"version":1,"topics":[{"name":"a","exists":true,"channels":[],"tombstones":[1]}]}"#,
    ])
    func `is refused if it is malformed`(text: String) {
        #expect(throws: LookupState.Malformed.self) {
            try LookupState(parsing: Array(text.utf8))
        }
    }
}
