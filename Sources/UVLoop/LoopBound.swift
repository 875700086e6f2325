/// Something that lives on a loop, in the hands of others: they can carry it, not touch it.
package final class LoopBound<Resident>: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) `resident` is touched in jobs of one door only, and so on
    // one thread. Its last reference may go elsewhere, when the loop has closed.
    private let door: LoopDoor
    private var resident: Resident?

    /// Has `make` run on the loop; every later job finds what it made.
    package init(_ door: LoopDoor, _ make: @escaping @Sendable (Loop) -> Resident) {
        self.door = door
        door.submit { loop in self.resident = make(loop) }
    }

    /// - Returns: whether the job will run; false once the loop is closed.
    @discardableResult
    package func submit(_ job: @escaping @Sendable (Resident) -> Void) -> Bool {
        door.submit { _ in
            if let resident = self.resident { job(resident) }
        }
    }
}
