import Testing
import UVLoop

@testable import NSQClient

@Suite struct `A response of nsqlookupd` {
    private func nsqds(_ json: String) -> Set<SocketAddress>? {
        LookupResponse(parsing: Array(json.utf8))?.nsqds
    }

    @Test func `has the broadcast address and TCP port of each producer`() {
        let json = """
            {"channels":["counts"],"producers":[
             {"remote_address":"10.0.0.1:50","hostname":"a","broadcast_address":"a.local",
              "tcp_port":4150,"http_port":4151,"version":"1.3.0"},
             {"broadcast_address":"::1","tcp_port":5150}]}
            """
        #expect(
            nsqds(json) == [
                SocketAddress(host: "a.local", port: 4150), SocketAddress(host: "::1", port: 5150),
            ])
    }

    @Test func `may have the form of versions before 1_0`() {
        let json =
            #"{"status_code":200,"data":{"producers":[{"broadcast_address":"a","tcp_port":1}]}}"#
        #expect(nsqds(json) == [SocketAddress(host: "a", port: 1)])
    }

    @Test(arguments: ["", "null", "[]", "{}", #"{"producers":null}"#, #"{"producers":{}}"#])
    func `is malformed without a list of producers`(json: String) {
        #expect(nsqds(json) == nil)
    }

    @Test(
        arguments: [
            #"{}"#, #"1"#, #"{"broadcast_address":"","tcp_port":1}"#, #"{"broadcast_address":"a"}"#,
            #"{"broadcast_address":"a","tcp_port":0}"#,
            #"{"broadcast_address":"a","tcp_port":65536}"#,
            #"{"broadcast_address":"a","tcp_port":9223372036854775807}"#,
            #"{"broadcast_address":"a","tcp_port":-1}"#,
            #"{"broadcast_address":"a","tcp_port":"1"}"#,
        ])
    func `skips a producer without a valid address`(producer: String) {
        let json = #"{"producers":[\#(producer),{"broadcast_address":"b","tcp_port":65535}]}"#
        #expect(nsqds(json) == [SocketAddress(host: "b", port: 65_535)])
    }

    @Test func `has at most 1,000 nsqds`() {
        let producers = (1...1_001).map { #"{"broadcast_address":"a","tcp_port":\#($0)}"# }
        let json = #"{"producers":[\#(producers.joined(separator: ","))]}"#
        #expect(nsqds(json)?.count == 1_000)
    }
}

@Suite struct `The discovered nsqds` {
    private let a = SocketAddress(host: "a", port: 1)
    private let b = SocketAddress(host: "b", port: 1)
    private var discovered = DiscoveredNSQDs()

    private mutating func apply(
        _ nsqds: Set<SocketAddress>, failures: [String] = [], active: Set<SocketAddress> = []
    ) -> DiscoveredNSQDs.Changes {
        discovered.apply(.init(nsqds: nsqds, failures: failures)) { active.contains($0) }
    }

    @Test mutating func `are added once`() {
        #expect(apply([b, a]) == .init(added: [a, b]))
        #expect(apply([a, b]) == .init())
    }

    @Test mutating func `are added even if one nsqlookupd fails`() {
        #expect(apply([a], failures: ["x: timeout"]) == .init(added: [a]))
    }

    @Test mutating func `are removed after three polls in a row without them`() {
        _ = apply([a, b])
        #expect(apply([a]) == .init())
        #expect(apply([a]) == .init())
        #expect(apply([a]) == .init(removed: [b]))
        #expect(apply([a]) == .init())
        #expect(apply([a, b]) == .init(added: [b]))
    }

    @Test mutating func `stay if a poll between two others reports them`() {
        _ = apply([a])
        for _ in 0..<3 {
            #expect(apply([]) == .init())
            #expect(apply([]) == .init())
            #expect(apply([a]) == .init())
        }
    }

    @Test mutating func `stay while an nsqlookupd does not respond`() {
        _ = apply([a])
        for _ in 0..<10 { #expect(apply([], failures: ["x: timeout"]) == .init()) }
    }

    @Test mutating func `stay while they deliver messages`() {
        _ = apply([a])
        for _ in 0..<10 { #expect(apply([], active: [a]) == .init()) }
        _ = apply([])
        _ = apply([])
        // If messages arrive between two polls, the count of polls without the nsqd begins again.
        #expect(apply([], active: [a]) == .init())
        _ = apply([])
        _ = apply([])
        #expect(apply([]) == .init(removed: [a]))
    }
}
