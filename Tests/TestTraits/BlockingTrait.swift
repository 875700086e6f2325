import Foundation
import Testing

/// Runs each test of a suite on threads of its own.
///
/// A test that waits for a process or a socket in a system call blocks its thread. Swift's shared pool
/// has only as many threads as the machine has processors. On a machine with two processors, two such
/// tests would prevent all others from running.
package struct BlockingTrait: SuiteTrait, TestTrait, TestScoping {
    package var isRecursive: Bool { true }

    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(ThreadPerJobExecutor.shared) { try await function() }
    }
}

extension Trait where Self == BlockingTrait {
    /// The tests of the suite may block their thread.
    package static var blocking: BlockingTrait { BlockingTrait() }
}

/// Runs each part of a task between two suspensions on a new thread, so that any number of them can block.
private final class ThreadPerJobExecutor: TaskExecutor {
    static let shared = ThreadPerJobExecutor()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
