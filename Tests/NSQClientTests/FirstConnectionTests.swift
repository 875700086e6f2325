import NSQClient
import Testing
import UVLoop

@Suite(.timeLimit(.minutes(5))) struct `The first connection of a consumer` {
    private let one = SocketAddress(host: "127.0.0.1", port: 1)
    private let other = SocketAddress(host: "127.0.0.1", port: 2)
    private let gone = NSQError.unreachable(address: "127.0.0.1:1", reason: "gone")

    @Test func `is awaited while another nsqd is untried, however often one fails`() async throws {
        let first = FirstConnection(of: [one, other])
        first.heard(gone, from: one)
        first.heard(gone, from: one)
        first.heard(nil, from: other)
        try await first.outcome()
    }

    @Test func `has failed when every nsqd has`() async throws {
        let first = FirstConnection(of: [one, other])
        first.heard(gone, from: one)
        let last = NSQError.unreachable(address: "127.0.0.1:2", reason: "gone too")
        first.heard(last, from: other)
        first.heard(nil, from: one)
        await #expect(throws: last) { try await first.outcome() }
    }
}
