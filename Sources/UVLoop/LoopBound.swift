/// Something that lives on a loop's thread, for others to carry about: only whoever has the loop
/// in hand, and so is on its thread, can get at it.
///
/// Letting go of the last reference elsewhere would end it there, so take it out when it is done.
// SAFETY: the value is reached with the loop alone, and a loop is never handed to another thread.
package final class LoopBound<Value>: @unchecked Sendable {
    private var value: Value?
    private let door: LoopDoor

    package init(_ value: Value, on loop: Loop) {
        self.value = value
        door = loop.door
    }

    /// Has `make` run on the loop, soon: before every job that is submitted after this.
    package init(behind door: LoopDoor, _ make: @escaping @Sendable (Loop) -> Value) {
        self.door = door
        door.submit { loop in self.value = make(loop) }
    }

    /// The value, or `nil` once it was taken out.
    package func callAsFunction(on loop: Loop) -> Value? {
        precondition(loop.door === door, "it lives on another loop")
        return value
    }

    package func takeOut(on loop: Loop) -> Value? {
        precondition(loop.door === door, "it lives on another loop")
        defer { value = nil }
        return value
    }

    /// Runs `job` on the loop with the value, or with `nil` once it was taken out.
    ///
    /// - Returns: whether the job will run; false once the loop is closed.
    @discardableResult
    package func submit(_ job: @escaping @Sendable (Value?) -> Void) -> Bool {
        door.submit { loop in job(self(on: loop)) }
    }
}
