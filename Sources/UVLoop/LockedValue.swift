import CLibuv

/// A value that a lock protects, so that any thread may access it.
///
/// The lock is a `uv_mutex_t`, because on Linux the thread sanitizer does not support
/// `Synchronization.Mutex` and reports false data races.
package final class LockedValue<Value>: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) `value` is accessed between lock and unlock only. Arguments
    // and results are `sending`, so no part of `value` stays shared with the caller.
    private let mutex: UnsafeMutablePointer<uv_mutex_t>
    private var value: Value

    /// Stores the initial value.
    package init(_ value: sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: uv_mutex_t())
        let status = uv_mutex_init(mutex)
        precondition(status == 0, "uv_mutex_init fails only when memory is exhausted")
    }

    deinit {
        uv_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Calls `body` with exclusive access to the value, and returns the result of `body`.
    package func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        uv_mutex_lock(mutex)
        defer { uv_mutex_unlock(mutex) }
        return try body(&value)
    }
}
