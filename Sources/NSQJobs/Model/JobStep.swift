/// A completed step of a job, with its result.
public struct JobStep: Hashable, Sendable {
    /// The name of the step.
    public let name: String
    /// The result as JSON.
    public let result: String
    /// The time at which the store recorded the result.
    public let completedAt: JobTime

    /// The maximum number of steps of a job: 1,000.
    public static let maxCount = 1_000
    /// The maximum size of the results of all steps of a job together, in bytes: 4 MiB.
    public static let maxTotalBytes = 4 << 20

    package init(name: String, result: String, completedAt: JobTime) {
        self.name = name
        self.result = result
        self.completedAt = completedAt
    }
}
