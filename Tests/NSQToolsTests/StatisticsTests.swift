import TallyJSON
import Testing

@testable import NSQTools

@Suite struct `The statistics of a cluster` {
    private func statistics(_ texts: String...) throws -> ClusterStatistics {
        var statistics = ClusterStatistics()
        for text in texts {
            statistics.add(try JSONValue(parsingLikeGo: text.utf8, keptDepth: 6))
        }
        return statistics
    }

    @Test func `are the sums over all nsqds`() throws {
        let nsqd =
            #"{"topics":[{"topic_name":"plays","depth":1,"message_count":9,"paused":false,"#
            + #""channels":[{"channel_name":"counts","depth":5,"backend_depth":2,"#
            + #""in_flight_count":3,"deferred_count":1,"requeue_count":4,"timeout_count":6,"#
            + #""message_count":8,"client_count":2,"paused":true}]}]}"#
        let sum = try statistics(nsqd, nsqd)
        let topic = try #require(sum.topics["plays"])
        #expect(topic.depth == 2)
        #expect(topic.messageCount == 18)
        #expect(!topic.isPaused)
        let channel = try #require(topic.channels["counts"])
        #expect(channel.depth == 10)
        #expect(channel.inFlightCount == 6)
        #expect(channel.clientCount == 4)
        #expect(channel.isPaused)
    }

    @Test func `ignore what is no statistics, and limit numbers`() throws {
        #expect(try statistics("[]", "{}", #"{"topics":[1,{}]}"#) == ClusterStatistics())
        let huge =
            #"{"topics":[{"topic_name":"a","depth":9223372036854775807,"channels":null}]}"#
        #expect(try statistics(huge, huge, huge).topics["a"]?.depth == 3 << 52)
    }

    /// The format string of the original is `%7d %7d | %7d %7d %7d %5d %5d | %7d %7d %12d %7d`.
    @Test func `are printed in the columns of nsq_stat`() throws {
        var before = ClusterStatistics.Channel()
        before.messageCount = 100
        before.depth = 40
        var now = ClusterStatistics.Channel()
        now.messageCount = 300
        now.depth = 50
        now.backendDepth = 20
        now.inFlightCount = 7
        now.deferredCount = 1
        now.requeueCount = 2
        now.timeoutCount = 3
        now.clientCount = 4
        #expect(
            StatisticsLine.text(now, since: before, interval: .seconds(2))
                == "    100      95 |      50      30      20     7     1 |       2       3"
                + "          300       4")
        #expect(
            StatisticsLine.header[1]
                == "ingress  egress |   total     mem    disk inflt   def |     req     t-o"
                + "         msgs clients")
    }
}
