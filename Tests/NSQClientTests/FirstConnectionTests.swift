import NSQClient
import Testing
import UVLoop

@Suite(.timeLimit(.minutes(15))) struct `The first connection of a consumer` {
    private let one = SocketAddress(host: "127.0.0.1", port: 1)
    private let other = SocketAddress(host: "127.0.0.1", port: 2)
    private let gone = NSQError.unreachable(address: "127.0.0.1:1", reason: "gone")

    @Test func `is awaited while another nsqd is untried, even if one fails repeatedly`()
        async throws
    {
        let first = FirstConnection(to: [one, other])
        first.record(gone, from: one)
        first.record(gone, from: one)
        first.record(nil, from: other)
        try await first.wait()
    }

    @Test func `fails with the last error when every nsqd has failed`() async throws {
        let first = FirstConnection(to: [one, other])
        first.record(gone, from: one)
        let last = NSQError.unreachable(address: "127.0.0.1:2", reason: "gone too")
        first.record(last, from: other)
        first.record(nil, from: one)
        await #expect(throws: last) { try await first.wait() }
    }

    /// Otherwise the consumer would wait for an attempt that has already ended.
    @Test func `fails if nsqlookupd reports only nsqds that have failed`() async throws {
        let first = FirstConnection(to: [one], isDiscovering: true)
        first.record(gone, from: one)
        first.recordPoll([one], failures: ["lookupd: timeout"])
        // The outcome of the first connection is known, so a later connection does not change it.
        first.record(nil, from: other)
        await #expect(throws: gone) { try await first.wait() }
    }
}
