import Foundation

/// The time in seconds after which a wait of a test fails. It only ends tests that hang: no test on a
/// slow machine waits as long.
package let longestWait: TimeInterval = 300

/// Polls a condition for which there is no event to wait for, such as the contents of a file or of a
/// table.
///
/// - Returns: `false` if the condition is still false after ``longestWait``.
package func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(longestWait)
    while try !condition() {
        guard ContinuousClock.now < deadline else { return false }
        Thread.sleep(forTimeInterval: 0.02)
    }
    return true
}

/// Polls an asynchronous condition for which there is no event to wait for, without blocking the
/// thread.
///
/// - Returns: `false` if the condition is still false after ``longestWait``, or when the task is
///   cancelled.
package func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(longestWait)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { return false }
        guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return false }
    }
    return true
}
