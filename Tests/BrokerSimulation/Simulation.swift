/// Worlds from their beginning to their end.
package enum Simulation {
    static let steps = 150

    /// Lives through the world that follows from a seed.
    ///
    /// - Parameter isTold: prints what happens, as it happens.
    /// - Returns: the first promise that was broken, if one was.
    package static func run(_ seed: UInt64, isTold: Bool = false) -> String? {
        let world = World(seed: seed, isTold: isTold)
        for _ in 1...steps where world.failure == nil { world.step() }
        if world.failure == nil { world.finish() }
        return world.failure
    }

    /// `7`, or `1-10000`.
    package static func seeds(parsing text: String) -> ClosedRange<UInt64>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
            first <= last
        else { return nil }
        return first...last
    }
}
