import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The connections of tally's commands` {
    /// The members of the `/stats` response that describe clients.
    private struct Statistics: Decodable {
        struct Client: Decodable, Equatable {
            var client_id: String
            var hostname: String
            var user_agent: String
        }
        struct Channel: Decodable { var clients: [Client] }
        struct Topic: Decodable { var channels: [Channel] }
        var topics: [Topic]
        var producers: [Client]?
    }

    /// Waits until a producer with the ID is connected.
    private func producer(_ clientID: String, _ nsqd: RunningNSQD) throws -> Statistics.Client? {
        var found: Statistics.Client?
        _ = try eventually {
            let response = try TestDaemon(nsqd).request("GET", "/stats?format=json")
            let statistics = try response.json(as: Statistics.self)
            found = statistics.producers?.first { $0.client_id == clientID }
            return found != nil
        }
        return found
    }

    @Test(arguments: [
        ("tally-produce", ["produce", "--rate=100", "--plays=100000", "--nsqd-tcp-address=NSQD"]),
        ("tally-demo", ["demo", "--rate=100", "--plays=100000", "--nsqd-tcp-address=NSQD"]),
        ("tally-bench", ["bench", "--seconds=5", "--nsqd-tcp-address=NSQD"]),
    ])
    func `have the command and the host in nsqd's statistics`(
        clientID: String, words: [String]
    ) throws {
        let nsqd = try RunningNSQD()
        let process = try BuiltProcess(words.map { $0.replacing("NSQD", with: nsqd.tcpAddress) })
        let client = try #require(try producer(clientID, nsqd))
        #expect(client.hostname == ProcessInfo.processInfo.hostName)
        #expect(client.user_agent.hasPrefix("tally/"))
        process.send(SIGKILL)
        #expect(process.status() == -SIGKILL)
        #expect(nsqd.stop())
    }
}
