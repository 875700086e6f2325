/// Something that lives on a loop's thread, for others to carry about: only whoever has the loop
/// in hand, and so is on its thread, can get at it.
///
/// Letting go of the last reference elsewhere would end it there, so take it out when it is done.
// SAFETY: the value is reached with the loop alone, and a loop is never handed to another thread.
package final class LoopBound<Value>: @unchecked Sendable {
    private var value: Value?
    private let loop: ObjectIdentifier

    package init(_ value: Value, on loop: Loop) {
        self.value = value
        self.loop = ObjectIdentifier(loop)
    }

    /// The value, or `nil` once it was taken out.
    package func callAsFunction(on loop: Loop) -> Value? {
        precondition(ObjectIdentifier(loop) == self.loop, "it lives on another loop")
        return value
    }

    package func takeOut(on loop: Loop) -> Value? {
        precondition(ObjectIdentifier(loop) == self.loop, "it lives on another loop")
        defer { value = nil }
        return value
    }
}
