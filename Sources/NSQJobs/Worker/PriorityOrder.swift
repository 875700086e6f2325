/// The order in which a worker takes jobs of several priority classes.
public struct PriorityOrder: Hashable, Sendable {
    /// The weight of each class in the order of ``JobPriority/allCases``; `nil` for the strict order.
    let weights: [Int]?

    private init(weights: [Int]?) {
        self.weights = weights
    }

    /// Among the messages that a worker has received, those of a higher class come first. A message of
    /// a lower class waits up to 5 ms for messages of a higher class. A class can wait without limit
    /// while a higher class has jobs.
    public static let strict = Self(weights: nil)

    /// While several classes have jobs, each class gets a share in proportion to its weight, so that no
    /// class waits without limit.
    ///
    /// - Parameters: the weights, 1 to 1,000 each.
    public static func weighted(high: Int = 6, normal: Int = 3, low: Int = 1) -> Self {
        Self(weights: [high, normal, low])
    }

    /// - Throws: ``JobsError/Code/invalidOption``.
    func validate() throws(JobsError) {
        guard weights?.allSatisfy((1...1_000).contains) ?? true else {
            throw JobsError(.invalidOption, "the weights of priorities must be 1 to 1000")
        }
    }
}

/// Selects classes by their weights, without I/O and clock: each selection adds the weight of each
/// class with jobs to its credit. The class with the highest credit is selected, and its credit is
/// reduced by the sum of these weights.
///
/// - SeeAlso: nginx, “smooth weighted round-robin balancing”.
struct PrioritySelection: Hashable, Sendable {
    private let weights: [Int]?
    private var credits: [Int]

    init(_ order: PriorityOrder) {
        weights = order.weights
        credits = JobPriority.allCases.map { _ in 0 }
    }

    /// Selects one of the classes that have jobs.
    ///
    /// - Returns: the raw value of the class; `nil` if none has jobs.
    mutating func next(where hasJobs: (Int) -> Bool) -> Int? {
        let classes = credits.indices.filter(hasJobs)
        guard let weights else { return classes.first }
        for index in classes { credits[index] += weights[index] }
        guard let selected = classes.max(by: { credits[$0] < credits[$1] }) else { return nil }
        credits[selected] -= classes.reduce(0) { $0 + weights[$1] }
        return selected
    }
}
