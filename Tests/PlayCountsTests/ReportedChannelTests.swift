import PlayCounts
import TestTraits
import Testing

@Suite(.blocking) struct `Statistics of the processor's channel` {
    @Test func `sum the topic's and the channel's messages and name the consumers`() throws {
        let statistics = try #require(
            NSQDChannelStatistics(
                parsing: Array(
                    """
                    {"topics":[{"depth":3,"channels":[{"depth":4,"in_flight_count":5,
                    "deferred_count":6,"clients":[{"client_id":"a"},{"client_id":"b"},{}]}]}]}
                    """.utf8)))
        #expect(statistics.queue == ChannelDepth(depth: 7, inFlight: 5, deferred: 6))
        #expect(statistics.clientIDs == ["a", "b"])
    }

    @Test(
        arguments: [
            "{}", "[]", "{\"topics\":{}}", "{\"topics\":[{\"depth\":\"7\"}]}",
            "{\"topics\":[{\"depth\":99999999999999999999999}]}",
        ])
    func `that have another shape count as 0`(text: String) throws {
        let statistics = try #require(NSQDChannelStatistics(parsing: Array(text.utf8)))
        #expect(statistics.queue == ChannelDepth(depth: 0, inFlight: 0, deferred: 0))
        #expect(statistics.clientIDs == [])
    }

    @Test func `with numbers that overflow have the largest number`() throws {
        let largest = "{\"depth\":\(Int.max)}"
        let text = "{\"topics\":[\(largest),\(largest)]}"
        let statistics = try #require(NSQDChannelStatistics(parsing: Array(text.utf8)))
        #expect(statistics.queue.depth == .max)
    }

    @Test func `that are no JSON are ignored`() {
        #expect(NSQDChannelStatistics(parsing: Array("<html>".utf8)) == nil)
    }
}
