import HTTP
import Transport
import UVLoop

/// The request for all nsqds that are registered at nsqlookupds, whatever their topics are.
package enum RegisteredNSQDs {
    /// Sends one request to each nsqlookupd.
    ///
    /// - Parameters:
    ///   - lookupds: the base URLs of the nsqlookupds.
    ///   - timeout: the maximum time for each response; 5 s by default.
    /// - Returns: the union of all responses, sorted by address; empty if no nsqd is registered.
    /// - Throws: ``NSQError/Code/lookupFailed`` if a request failed and no other response contains
    ///   an nsqd; ``NSQError/Code/unreachable`` if the process has no file descriptors or threads
    ///   left.
    package static func request(
        at lookupds: [HTTPURL], timeout: Duration = .seconds(5)
    ) async throws(NSQError) -> [SocketAddress] {
        guard let first = lookupds.first else { return [] }
        let host: LoopHost<Requester> = try .start(
            threadName: "nsq lookup", thread: .shared, clock: .system,
            nsqd: first.address.description
        ) { Requester(on: $0, timeout: timeout) }
        let result = await withCheckedContinuation { continuation in
            host.submit { $0!.request(lookupds) { continuation.resume(returning: $0) } }
        }
        await host.stop()
        guard result.nsqds.isEmpty, !result.failures.isEmpty else {
            return result.nsqds.sorted { $0.description < $1.description }
        }
        throw .lookupFailed(result.failures.joined(separator: "; "))
    }

    private final class Requester: LoopHosted {
        private let client: HTTPClient
        private var poll: LookupPoll?

        init(on loop: Loop, timeout: Duration) {
            client = HTTPClient(on: loop)
            client.connectTimeout = timeout
            client.requestTimeout = timeout
            client.maxBodyBytes = LookupResponse.maxBytes
            client.tls = { try? TLSContext(client: TLSClientOptions()) }
        }

        func request(_ lookupds: [HTTPURL], _ done: @escaping (LookupPoll.Result) -> Void) {
            let poll = LookupPoll(for: .all, with: client, done)
            self.poll = poll
            poll.start(at: lookupds)
        }

        func stop(_ done: @escaping () -> Void) {
            poll?.cancel()
            client.close()
            done()
        }
    }
}
