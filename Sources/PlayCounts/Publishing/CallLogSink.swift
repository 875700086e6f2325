import TallyBasics
import UVLoop

/// A sink that accepts every call, and records it with the time. In the demo, it is the client.
package final class CallLogSink: Sink {
    /// The calls so far.
    package private(set) var log = CallLog()
    private let loop: Loop

    package init(on loop: Loop) {
        self.loop = loop
    }

    package func send(
        _ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void
    ) {
        log.record(call.counts, at: loop.instant, iteration: loop.iteration)
        completion(.success(()))
    }
}
