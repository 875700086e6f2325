/// A reference, valid on any thread, to an object that lives on a loop. Only code on the loop's
/// thread can access the object, because every access needs the `Loop`.
///
/// The owner must remove the object on the loop. Otherwise, the thread that releases the last
/// reference to the `LoopBound` deallocates the object.
// SAFETY: every access needs the loop, and a loop is never passed to another thread.
package final class LoopBound<Value>: @unchecked Sendable {
    private var value: Value?
    private let mailbox: LoopMailbox

    /// Wraps an object that lives on `loop`.
    package init(_ value: Value, on loop: Loop) {
        self.value = value
        mailbox = loop.mailbox
    }

    /// Creates the object on the loop. Jobs that are submitted after this call run after the
    /// creation.
    package init(creatingOn mailbox: LoopMailbox, _ create: @escaping @Sendable (Loop) -> Value) {
        self.mailbox = mailbox
        mailbox.submit { loop in self.value = create(loop) }
    }

    /// Returns the object, or `nil` after ``removeValue(on:)``.
    package func value(on loop: Loop) -> Value? {
        precondition(loop.mailbox === mailbox, "the object lives on another loop")
        return value
    }

    /// Removes the object and returns it; `nil` if it was removed before.
    package func removeValue(on loop: Loop) -> Value? {
        defer { value = nil }
        return value(on: loop)
    }

    /// Runs `job` on the loop with the object, or with `nil` after ``removeValue(on:)``.
    ///
    /// - Parameters:
    ///   - wakesLoop: see ``LoopMailbox/submit(wakesLoop:_:)``.
    ///   - job: the closure to run.
    /// - Returns: `true` if the job will run, `false` if the loop is closed.
    @discardableResult
    package func submit(
        wakesLoop: Bool = true, _ job: @escaping @Sendable (Value?) -> Void
    ) -> Bool {
        mailbox.submit(wakesLoop: wakesLoop) { loop in job(self.value(on: loop)) }
    }
}
