import TallyJSON
import Testing

@testable import NSQAdmin

/// Snapshots of a cluster that need no server.
enum Snapshots {
    /// The state of one topic with one channel at some nodes.
    ///
    /// - Parameter nodes: for each node, the messages of the channel, and how many of them wait.
    static func make(
        _ nodes: [String: (messages: Int, depth: Int)], topic: String = "plays", second: Int,
        number: Int = 1
    ) throws -> ClusterSnapshot {
        var infos: [NodeInfo] = []
        var parts: [TopicStatistics] = []
        for (name, figures) in nodes {
            let info = NodeInfo(
                try JSONValue(
                    parsingLikeGo:
                        #"{"broadcast_address":"\#(name)","http_port":1,"hostname":"\#(name)"}"#
                        .utf8, keptDepth: 2))
            let channel =
                #"{"channel_name":"counts","depth":\#(figures.depth),"message_count":\#(figures.messages)}"#
            let text =
                #"{"topics":[{"topic_name":"\#(topic)","message_count":\#(figures.messages),"channels":[\#(channel)]}]}"#
            infos.append(info)
            parts += TopicStatistics.topics(
                in: try JSONValue(parsingLikeGo: text.utf8, keptDepth: 8), of: info)
        }
        var snapshot = ClusterSnapshot(
            nodes: infos, names: [], parts: parts, reached: Set(infos.map(\.httpAddress)),
            time: second * 1_000)
        snapshot.number = number
        return snapshot
    }
}

@Suite struct `The rates of a cluster` {
    @Test func `are the sums of the differences at each node`() throws {
        let before = try Snapshots.make(["a": (100, 40), "b": (10, 0)], second: 0)
        var after = try Snapshots.make(["a": (160, 50), "b": (20, 0)], second: 10)
        after.setRates(since: before, seconds: 10)
        let topic = try #require(after.topic(named: "plays"))
        #expect(topic.figures.incoming == 7)
        #expect(topic.figures.outgoing == 6)
        #expect(topic.channels.map(\.figures.outgoing) == [6])
        #expect(Set(after.nodes.compactMap(\.figures.incoming)) == [6, 1])
        #expect(after.totals.incoming == 7)
        #expect(topic.figures.secondsToDrain == nil)
    }

    @Test func `do not jump if a node fails, comes back or starts anew`() throws {
        let both = try Snapshots.make(["a": (1_000, 0), "b": (5_000, 0)], second: 0)
        var one = try Snapshots.make(["a": (1_010, 0)], second: 1)
        one.setRates(since: both, seconds: 1)
        #expect(one.totals.incoming == 10)
        var again = try Snapshots.make(["a": (1_020, 0), "b": (6_000, 0)], second: 2)
        again.setRates(since: one, seconds: 1)
        #expect(again.totals.incoming == 10)
        var restarted = try Snapshots.make(["a": (1_030, 0), "b": (3, 0)], second: 3)
        restarted.setRates(since: again, seconds: 1)
        #expect(restarted.totals.incoming == 10)
    }

    @Test func `tell when a channel will be empty`() throws {
        let before = try Snapshots.make(["a": (100, 100)], second: 0)
        var after = try Snapshots.make(["a": (110, 60)], second: 10)
        after.setRates(since: before, seconds: 10)
        #expect(after.topic(named: "plays")?.channels[0].figures.secondsToDrain == 15)
    }
}

@Suite struct `The history of a cluster` {
    private func record(_ history: inout ClusterHistory, depth: Int, second: Int) throws {
        history.record(try Snapshots.make(["a": (depth, depth)], second: second))
    }

    @Test func `averages the polls of a slot`() throws {
        var history = ClusterHistory()
        for (second, depth) in [(1_000, 10), (1_002, 20), (1_004, 60), (1_005, 7)] {
            try record(&history, depth: depth, second: second)
        }
        for key in [
            ClusterHistory.Key.cluster, .topic("plays"),
            .channel(topic: "plays", channel: "counts"),
        ] {
            let points = history.points(of: key, .minutes)
            #expect(points.map(\.slot) == [200, 201])
            #expect(points.map(\.depth) == [30, 7])
        }
        #expect(history.points(of: .cluster, .day).map(\.slot) == [3])
    }

    @Test func `has at most the slots of ten minutes and of a day`() throws {
        var history = ClusterHistory()
        for slot in 0..<700 { try record(&history, depth: 1, second: slot * 300) }
        let day = history.points(of: .topic("plays"), .day)
        #expect(day.map(\.slot) == Array(412..<700))
        #expect(history.points(of: .topic("plays"), .minutes).count == 2)
        for second in stride(from: 0, to: 2_000, by: 5) {
            try record(&history, depth: 1, second: 300_000 + second)
        }
        #expect(history.points(of: .topic("plays"), .minutes).count == 120)
    }

    @Test func `continues when the wall clock is set back`() throws {
        var history = ClusterHistory()
        try record(&history, depth: 1, second: 10_000)
        try record(&history, depth: 3, second: 5_000)
        #expect(history.points(of: .cluster, .minutes).map(\.slot) == [1_000])
        #expect(history.points(of: .cluster, .minutes).map(\.depth) == [3])
    }

    @Test func `knows no rate before the second poll`() throws {
        var history = ClusterHistory()
        let first = try Snapshots.make(["a": (10, 0)], second: 1_000)
        var second = try Snapshots.make(["a": (30, 0)], second: 1_002, number: 2)
        second.setRates(since: first, seconds: 2)
        history.record(first)
        #expect(history.points(of: .cluster, .minutes).map(\.incoming) == [nil])
        history.record(second)
        #expect(history.points(of: .cluster, .minutes).map(\.incoming) == [10])
    }

    @Test func `has no series of a topic without messages`() throws {
        var history = ClusterHistory()
        try record(&history, depth: 0, second: 1_000)
        #expect(history.points(of: .topic("plays"), .minutes).isEmpty)
        #expect(history.points(of: .cluster, .minutes).count == 1)
    }

    @Test func `limits the number of series, and drops those of former topics`() throws {
        var history = ClusterHistory()
        for number in 0..<(ClusterHistory.maxSeries + 100) {
            history.record(
                try Snapshots.make(["a": (1, 1)], topic: "topic\(number)", second: 1_000))
        }
        let last = ClusterHistory.Key.topic("topic\(ClusterHistory.maxSeries + 99)")
        #expect(history.points(of: last, .minutes).isEmpty)
        try record(&history, depth: 1, second: 1_100)
        try record(&history, depth: 1, second: 1_101)
        #expect(history.points(of: .topic("plays"), .minutes).count == 1)
        #expect(history.points(of: .topic("topic1"), .minutes).isEmpty)
    }
}
