/// The priority class of a job. Each class of a queue has a topic of its own.
///
/// ``JobWorker/Options/priorityOrder`` decides how a worker selects among jobs of several classes.
public enum JobPriority: Int, CaseIterable, Comparable, Sendable, Codable {
    /// Jobs of this class come first.
    case high = 0
    /// The default.
    case normal = 1
    /// Jobs of this class come last.
    case low = 2

    /// Returns `true` if `left` is less urgent than `right`.
    public static func < (left: JobPriority, right: JobPriority) -> Bool {
        left.rawValue > right.rawValue
    }
}

extension JobPriority: CustomStringConvertible, LosslessStringConvertible {
    /// Finds a priority by its name.
    public init?(_ description: String) {
        guard let priority = Self.allCases.first(where: { $0.description == description }) else {
            return nil
        }
        self = priority
    }

    /// The name of the class, such as `high`.
    public var description: String {
        switch self {
        case .high: "high"
        case .normal: "normal"
        case .low: "low"
        }
    }
}
