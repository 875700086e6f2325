/// The rules by which a `Jobs` object deletes ended jobs in the background.
///
/// Each process with an nsqd deletes jobs by its own settings, so the strictest settings of all
/// processes apply. A job is kept while another job waits for its end.
public struct JobPruning: Hashable, Sendable {
    /// The maximum age and the maximum number of the jobs of one state that are kept.
    public struct Bound: Hashable, Sendable {
        /// Deletes jobs that ended longer ago; `nil` for no limit of the age.
        public var maxAge: Duration?
        /// Deletes the oldest jobs until this number remains in each queue; `nil` for no limit of the
        /// number.
        public var maxCount: Int?

        /// Creates a bound.
        public init(maxAge: Duration? = nil, maxCount: Int? = nil) {
            self.maxAge = maxAge
            self.maxCount = maxCount
        }
    }

    /// The bound of completed jobs: 7 days and 1,000,000 of each queue by default.
    public var completed = Bound(maxAge: .seconds(7 * 86_400), maxCount: 1_000_000)
    /// The bound of cancelled jobs: 7 days and 1,000,000 of each queue by default.
    public var cancelled = Bound(maxAge: .seconds(7 * 86_400), maxCount: 1_000_000)
    /// The bound of discarded jobs: 90 days by default, and any number.
    public var discarded = Bound(maxAge: .seconds(90 * 86_400))
    /// The time between two passes over the store: 10 ms to 1 day, 1 min by default.
    public var interval = Duration.seconds(60)

    /// Creates the default bounds.
    public init() {}

    /// Keeps all jobs.
    public static var none: JobPruning {
        var pruning = JobPruning()
        pruning.completed = Bound()
        pruning.cancelled = Bound()
        pruning.discarded = Bound()
        return pruning
    }

    /// - Throws: ``JobsError/Code/invalidOption``.
    func validate() throws(JobsError) {
        guard (.milliseconds(10)...(.seconds(86_400))).contains(interval) else {
            throw JobsError(
                .invalidOption, "the interval of pruning must be 10 ms to 1 day, not \(interval)")
        }
        for bound in [completed, cancelled, discarded] {
            guard bound.maxAge ?? .zero >= .zero, bound.maxCount ?? 0 >= 0 else {
                throw JobsError(.invalidOption, "the bounds of pruning must not be negative")
            }
        }
    }

    /// The rules, without those that delete nothing.
    var rules: [PruneRule] {
        [(JobState.completed, completed), (.cancelled, cancelled), (.discarded, discarded)]
            .filter { $0.1 != Bound() }
            .map {
                PruneRule(states: [$0], olderThan: $1.maxAge, keepingAtMost: $1.maxCount)
            }
    }
}
