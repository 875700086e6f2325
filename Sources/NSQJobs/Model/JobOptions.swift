/// The settings of a job type, which an enqueue can override.
public struct JobOptions: Hashable, Sendable {
    /// The name of the queue: 1 to 40 characters of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`; `default` by
    /// default.
    public var queue: String
    /// The priority class, normal by default.
    public var priority: JobPriority
    /// Labels by which jobs can be listed: up to 16 of 1 to 64 bytes; none by default.
    public var tags: [String]
    /// The maximum number of attempts, and the delays between them.
    public var retry: JobRetryPolicy
    /// The maximum duration of an attempt; `nil` (the default) for none. The task of a longer attempt is
    /// cancelled, and the attempt fails.
    public var timeout: Duration?
    /// The rule for jobs with a ``Job/uniqueKey``.
    public var uniqueness: JobUniqueness
    /// Whether the job is stored (tracked, the default) or only an NSQ message (fleeting).
    public var grade: JobGrade

    /// Creates options. `maxAttempts` replaces the maximum of `retry` if it is not `nil`.
    public init(
        queue: String = "default", maxAttempts: Int? = nil, priority: JobPriority = .normal,
        tags: [String] = [], retry: JobRetryPolicy = JobRetryPolicy(), timeout: Duration? = nil,
        uniqueness: JobUniqueness = JobUniqueness(), grade: JobGrade = .tracked
    ) {
        self.queue = queue
        self.priority = priority
        self.tags = tags
        self.retry = retry
        if let maxAttempts { self.retry.maxAttempts = maxAttempts }
        self.timeout = timeout
        self.uniqueness = uniqueness
        self.grade = grade
    }

    /// - Throws: ``JobsError/Code/invalidName`` or ``JobsError/Code/invalidOption``.
    package func validate() throws(JobsError) {
        try JobNames.check(queue: queue)
        try JobNames.check(tags: tags)
        guard (1...10_000).contains(retry.maxAttempts) else {
            throw JobsError(
                .invalidOption, "maxAttempts must be 1 to 10000, not \(retry.maxAttempts)")
        }
        guard retry.firstDelay >= .zero, retry.maxDelay >= .zero, (0...1).contains(retry.jitter)
        else {
            throw JobsError(
                .invalidOption,
                "the delays of a retry policy must not be negative, and its jitter must be 0 to 1")
        }
        if let timeout, timeout <= .zero {
            throw JobsError(.invalidOption, "the timeout of a job must be positive, not \(timeout)")
        }
    }
}

/// The rules for names of queues and jobs, and for tags.
package enum JobNames {
    package static let maxQueueBytes = 40
    package static let maxNameBytes = 200
    package static let maxTags = 16
    package static let maxTagBytes = 64
    package static let maxKeyBytes = 512

    package static func check(queue name: String) throws(JobsError) {
        guard (1...maxQueueBytes).contains(name.utf8.count), name.utf8.allSatisfy(isQueueByte)
        else {
            throw JobsError(
                .invalidName,
                "invalid queue name '\(name)': it must have 1 to \(maxQueueBytes) characters of "
                    + "a-z, A-Z, 0-9, '.', '_' and '-'")
        }
    }

    package static func check(name: String) throws(JobsError) {
        guard (1...maxNameBytes).contains(name.utf8.count), !hasControlCharacter(name) else {
            throw JobsError(
                .invalidName,
                "invalid job name '\(name)': it must have 1 to \(maxNameBytes) bytes without "
                    + "control characters")
        }
    }

    package static func check(step name: String) throws(JobsError) {
        guard (1...maxNameBytes).contains(name.utf8.count), !hasControlCharacter(name) else {
            throw JobsError(
                .invalidName,
                "invalid step name '\(name)': it must have 1 to \(maxNameBytes) bytes without "
                    + "control characters")
        }
    }

    package static func check(tags: [String]) throws(JobsError) {
        guard tags.count <= maxTags else {
            throw JobsError(.invalidName, "a job can have up to \(maxTags) tags, not \(tags.count)")
        }
        for tag in tags {
            guard (1...maxTagBytes).contains(tag.utf8.count), !hasControlCharacter(tag) else {
                throw JobsError(
                    .invalidName,
                    "invalid tag '\(tag)': it must have 1 to \(maxTagBytes) bytes without control "
                        + "characters")
            }
        }
    }

    package static func check(key: String, _ noun: String) throws(JobsError) {
        guard (1...maxKeyBytes).contains(key.utf8.count) else {
            throw JobsError(
                .invalidName,
                "\(noun) must have 1 to \(maxKeyBytes) bytes, not \(key.utf8.count)")
        }
        // SQLite treats the first NUL as the end of a text.
        guard !key.utf8.contains(0) else {
            throw JobsError(.invalidName, "\(noun) must not contain NUL characters")
        }
    }

    private static func isQueueByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func hasControlCharacter(_ text: String) -> Bool {
        text.utf8.contains { $0 < 0x20 || $0 == 0x7f }
    }
}
