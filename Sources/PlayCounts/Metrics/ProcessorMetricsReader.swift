import UVLoop

/// Reads the metrics of a processor from any thread.
package final class ProcessorMetricsReader: Sendable {
    private struct Reference {
        weak var processor: PlayProcessor?
    }

    private let reference: LoopBound<Reference>

    /// - Parameter loop: the processor's loop.
    init(of processor: PlayProcessor, on loop: Loop) {
        reference = LoopBound(Reference(processor: processor), on: loop)
    }

    /// Reads the metrics. They are computed only by this call, so they cost nothing while nobody
    /// reads them.
    ///
    /// - Parameter completion: called on the processor's loop with the metrics, or with `nil` if
    ///   the processor no longer exists. If that loop is closed, the completion is called
    ///   immediately, on the caller's thread, with `nil`.
    package func read(_ completion: @escaping @Sendable (ProcessorMetrics?) -> Void) {
        let isOpen = reference.submit { completion($0?.processor?.metrics) }
        if !isOpen { completion(nil) }
    }
}
