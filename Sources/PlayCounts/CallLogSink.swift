import UVLoop

/// A client that takes every call and remembers it: whom the demo publishes to.
package final class CallLogSink: Sink {
    package private(set) var log = CallLog()
    private let loop: Loop

    package init(on loop: Loop) {
        self.loop = loop
    }

    package func send(
        _ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void
    ) {
        log.record(call.counts, at: loop.instant)
        answer(.success(()))
    }
}
