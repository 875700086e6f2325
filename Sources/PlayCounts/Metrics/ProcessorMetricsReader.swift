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

    /// Reads the metrics. They are computed by this call only, so counting does no work for them.
    ///
    /// - Parameter completion: called on the processor's loop, or at once if that is closed, with the
    ///   metrics; with `nil` if the processor does not exist anymore.
    package func read(_ completion: @escaping @Sendable (ProcessorMetrics?) -> Void) {
        let isOpen = reference.submit { completion($0?.processor?.metrics) }
        if !isOpen { completion(nil) }
    }
}
