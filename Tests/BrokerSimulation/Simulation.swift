/// Runs simulations.
package enum Simulation {
    static let steps = 150

    /// Runs the simulation of a seed.
    ///
    /// - Parameter isTraced: prints each event.
    /// - Returns: the first violation of a guarantee; `nil` if there is none.
    package static func run(_ seed: UInt64, isTraced: Bool = false) -> String? {
        let cluster = SimulatedCluster(seed: seed, isTraced: isTraced)
        for _ in 1...steps where cluster.failure == nil { cluster.step() }
        if cluster.failure == nil { cluster.finish() }
        return cluster.failure
    }

    /// Parses a seed or a range of seeds, such as `7` or `1-10000`.
    package static func seeds(parsing text: String) -> ClosedRange<UInt64>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
            first <= last
        else { return nil }
        return first...last
    }
}
