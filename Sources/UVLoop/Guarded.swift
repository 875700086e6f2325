import CLibuv

/// A value behind a lock: the only lock in the house.
///
/// Over `uv_mutex_t`, because on Linux the thread sanitizer does not see `Synchronization.Mutex`
/// and reports sound code.
package final class Guarded<Value>: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) `value` is touched between lock and unlock only, and what
    // goes in and out is `sending`, so nothing of it stays shared with the outside.
    private let mutex: UnsafeMutablePointer<uv_mutex_t>
    private var value: Value

    package init(_ value: sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: uv_mutex_t())
        let status = uv_mutex_init(mutex)
        precondition(status == 0, "uv_mutex_init fails only for want of memory")
    }

    deinit {
        uv_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        uv_mutex_lock(mutex)
        defer { uv_mutex_unlock(mutex) }
        return try body(&value)
    }
}
