import PlayCounts
import UVLoop

/// Reads the metrics of the processor, which lives on another loop, for the requests to the page.
///
/// Requests that arrive during a read share its result, so at most one read runs at a time.
final class ProcessorMonitor {
    /// The reason why there are no metrics.
    enum Failure: Error, CustomStringConvertible {
        case notStarted, stopped, timedOut

        var description: String {
            switch self {
            case .notStarted: "the processor has not started"
            case .stopped: "the processor has stopped"
            case .timedOut: "the processor does not answer"
            }
        }
    }

    /// A weak reference, because the last release may happen on the processor's thread, and the
    /// monitor must be released on its own loop.
    private struct Reference {
        weak var monitor: ProcessorMonitor?
    }

    typealias Completion = (Result<ProcessorMetrics, Failure>) -> Void

    /// Reads the metrics on the processor's loop. The result is `nil` if the processor has stopped.
    typealias Source = @Sendable (@escaping @Sendable (ProcessorMetrics?) -> Void) -> Void

    /// The source of the metrics; `nil` until a processor has started.
    var source: Source?

    private let loop: Loop
    private let readTimeout: Duration
    private let timer: Timer
    private var waiting: [Completion] = []
    /// The number of the current read. The late result of an earlier read, which has timed out, is
    /// ignored.
    private var reads = 0

    init(on loop: Loop, readTimeout: Duration) {
        self.loop = loop
        self.readTimeout = readTimeout
        timer = Timer(on: loop)
    }

    /// Reads the metrics.
    ///
    /// - Parameter completion: called once, on the page's loop.
    func read(_ completion: @escaping Completion) {
        guard let source else { return completion(.failure(.notStarted)) }
        waiting.append(completion)
        guard waiting.count == 1 else { return }
        reads += 1
        timer.start(after: readTimeout) { [weak self] in self?.end(with: .failure(.timedOut)) }
        let reference = LoopBound(Reference(monitor: self), on: loop)
        source { [read = reads] metrics in
            reference.submit { $0?.monitor?.readEnded(read, metrics) }
        }
    }

    /// Ends the current read.
    func close() {
        end(with: .failure(.stopped))
        timer.close()
    }

    private func readEnded(_ read: Int, _ metrics: ProcessorMetrics?) {
        guard read == reads else { return }
        end(with: metrics.map { .success($0) } ?? .failure(.stopped))
    }

    private func end(with result: Result<ProcessorMetrics, Failure>) {
        timer.stop()
        let completions = waiting
        waiting = []
        for completion in completions { completion(result) }
    }
}
