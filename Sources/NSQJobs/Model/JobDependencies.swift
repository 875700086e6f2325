/// The jobs whose end another job waits for.
///
/// A job that waits is ``JobState/scheduled``, and ``JobRecord/waitsFor`` is ``JobWait/jobs``. It also
/// waits for its due time. ``Jobs/retry(_:)`` makes it available without waiting any longer.
public struct JobDependencies: Hashable, Sendable {
    /// What happens to a job if a job that it waits for is discarded or cancelled.
    public enum FailurePolicy: Int, CaseIterable, Hashable, Sendable, Codable {
        /// The job is cancelled, with a note that names the other job. So are the jobs with this policy
        /// that wait for it.
        case cancel = 0
        /// The job runs in any case: every end of the other job counts.
        case run = 1
        /// The job waits until the other job is retried and completes.
        case wait = 2
    }

    /// The jobs: up to 100, which are stored already.
    public var ids: [JobID]
    /// What happens if one of them is discarded or cancelled; ``FailurePolicy/cancel`` by default.
    public var onFailure: FailurePolicy

    /// The maximum number of ``ids``.
    public static let maxCount = 100

    /// Creates dependencies.
    public init(_ ids: [JobID], onFailure: FailurePolicy = .cancel) {
        self.ids = ids
        self.onFailure = onFailure
    }

    /// - Throws: ``JobsError/Code/invalidOption``.
    func validate() throws(JobsError) {
        guard ids.count <= Self.maxCount else {
            throw JobsError(
                .invalidOption,
                "a job can wait for up to \(Self.maxCount) jobs, not \(ids.count)")
        }
    }

    /// The effect of a dependency on the job that waits for it.
    package enum Effect: Hashable, Sendable {
        /// The job does not wait for the dependency any more.
        case satisfied
        case cancelled
        /// The job continues to wait.
        case waits
    }

    /// Returns the effect of a dependency in a state.
    package static func effect(of state: JobState, _ policy: FailurePolicy) -> Effect {
        switch (state, policy) {
        case (.completed, _): .satisfied
        case (.discarded, .cancel), (.cancelled, .cancel): .cancelled
        case (.discarded, .run), (.cancelled, .run): .satisfied
        default: .waits
        }
    }
}

extension JobDependencies.FailurePolicy: CustomStringConvertible, LosslessStringConvertible {
    /// Finds a policy by its name.
    public init?(_ description: String) {
        guard let policy = Self.allCases.first(where: { $0.description == description }) else {
            return nil
        }
        self = policy
    }

    /// The name of the policy, such as `cancel`.
    public var description: String {
        switch self {
        case .cancel: "cancel"
        case .run: "run"
        case .wait: "wait"
        }
    }
}
