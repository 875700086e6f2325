import Foundation

/// The time in seconds after which a wait of a test fails. It only ends tests that hang: no test on a
/// slow machine waits as long.
package let longestWait: TimeInterval = 300

/// Sets the time after which a read from a socket fails to ``longestWait``.
package func limitReads(of descriptor: Int32) {
    var limit = timeval(tv_sec: Int(longestWait), tv_usec: 0)
    setsockopt(
        descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
}

/// Repeats a system call that fails with `EINTR`. A read with a time limit does so when the process
/// was stopped and continues, even without a signal handler (signal(7)).
package func repeatingInterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}
