import CMemory
import Foundation
import UVLoop

/// Returns free memory to the operating system while the process is nearly idle.
///
/// The allocator itself returns only free memory at the end of its heap. One block in use near the
/// end retains all free memory before it: 140 MiB after 400 half-sent requests of 2.5 MB, as long
/// as the process ran. A trim examines the whole heap and delays other threads, so it waits until
/// the process is nearly idle.
enum HeapTrim {
    private static let interval: TimeInterval = 10

    /// Starts a thread that trims the heap.
    static func start() {
        let thread = Thread {
            var decision = TrimDecision(interval: .seconds(interval))
            while true {
                Thread.sleep(forTimeInterval: interval)
                guard let time = ProcessUsage.processorTime else { return }
                if decision.shouldTrim(processorTime: time) { malloc_trim(0) }
            }
        }
        thread.name = "free memory"
        thread.start()
    }
}

/// Decides when to trim the heap.
struct TrimDecision {
    /// The maximum share of one CPU that a nearly idle process uses.
    static let quietShare = 0.05
    /// The CPU time since the last trim after which there may be free memory again.
    static let leastWork = Duration.milliseconds(200)

    private let interval: Duration
    private var last: Duration = .zero
    private var lastTrim: Duration = .zero

    /// - Parameter interval: the time between two calls of ``shouldTrim(processorTime:)``.
    init(interval: Duration) {
        self.interval = interval
    }

    /// Returns `true` if the process has worked since the last trim, and was nearly idle since the
    /// last call.
    ///
    /// - Parameter processorTime: the CPU time of the process since its start.
    mutating func shouldTrim(processorTime: Duration) -> Bool {
        let used = processorTime - last
        last = processorTime
        guard used <= interval * Self.quietShare, processorTime - lastTrim >= Self.leastWork else {
            return false
        }
        lastTrim = processorTime
        return true
    }
}
