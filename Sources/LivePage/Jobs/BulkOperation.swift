import NSQJobs

/// A change of all jobs that a filter selects, done in the background.
struct BulkOperation: Sendable {
    enum State: String, Sendable { case running, finished, cancelled, failed }

    let number: Int
    /// What is done, such as `retry`.
    let action: String
    /// Which jobs are changed, as a text for people.
    let target: String
    /// The number of jobs that the filter selected at the start.
    let preview: JobQueryPreview
    let startedAt: JobTime
    private(set) var endedAt: JobTime?
    private(set) var result = JobBulkResult()
    private(set) var state = State.running
    private(set) var error: String?

    init(
        number: Int, action: String, target: String, preview: JobQueryPreview, at now: JobTime
    ) {
        self.number = number
        self.action = action
        self.target = target
        self.preview = preview
        startedAt = now
    }

    mutating func advance(to result: JobBulkResult) { self.result = result }

    mutating func end(_ state: State, error: String? = nil, at now: JobTime) {
        self.state = state
        self.error = error
        endedAt = now
    }

    /// The entry of the action log.
    var logEntry: NewJobAction {
        NewJobAction(
            action, target: target, changed: result.changed, unchanged: result.unchanged,
            error: state == .cancelled ? "cancelled" : error)
    }
}

/// The operations of a process: those that run, and the last ones that have ended. A pure value.
struct BulkOperationList: Sendable {
    /// The maximum number of operations that run at the same time.
    static let maxRunning = 4
    /// The number of ended operations that are stored.
    static let maxEnded = 10

    /// The operations from the oldest to the newest.
    private(set) var operations: [BulkOperation] = []
    private var lastNumber = 0

    /// Adds an operation; `nil` if too many run.
    mutating func start(
        _ action: String, target: String, _ preview: JobQueryPreview, at now: JobTime
    ) -> BulkOperation? {
        let running = operations.count { $0.state == .running }
        guard running < Self.maxRunning else { return nil }
        lastNumber += 1
        let operation = BulkOperation(
            number: lastNumber, action: action, target: target, preview: preview, at: now)
        operations.append(operation)
        return operation
    }

    /// Changes the operation with this number.
    mutating func update(_ number: Int, _ change: (inout BulkOperation) -> Void) {
        guard let index = operations.firstIndex(where: { $0.number == number }) else { return }
        change(&operations[index])
        let ended = operations.filter { $0.state != .running }
        guard ended.count > Self.maxEnded else { return }
        let removed = ended[ended.count - Self.maxEnded - 1].number
        operations.removeAll { $0.state != .running && $0.number <= removed }
    }

    subscript(number: Int) -> BulkOperation? { operations.first { $0.number == number } }
}
