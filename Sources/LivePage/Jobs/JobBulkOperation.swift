import NSQJobs

/// The progress of a change of all jobs that a filter selects. The change runs in the background.
struct JobBulkOperation: Sendable {
    enum State: String, Sendable { case running, finished, cancelled, failed }

    let number: Int
    /// The name of the change, such as `retry`.
    let action: String
    /// A description of the selected jobs, such as `jobs in queue mail`.
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

    /// The entry for the action log when the operation has ended.
    var logEntry: NewJobAction {
        NewJobAction(
            action, target: target, changed: result.changed, unchanged: result.unchanged,
            error: state == .cancelled ? "cancelled" : error)
    }
}

/// The running operations of this process, and the latest ended ones. A pure value.
struct JobBulkOperationList: Sendable {
    /// The maximum number of operations that run at the same time.
    static let maxRunning = 4
    /// The maximum number of ended operations in the list.
    static let maxEnded = 10

    /// The operations from the oldest to the newest.
    private(set) var operations: [JobBulkOperation] = []
    private var lastNumber = 0

    /// Adds an operation. Returns `nil` if ``maxRunning`` operations run already.
    mutating func start(
        _ action: String, target: String, _ preview: JobQueryPreview, at now: JobTime
    ) -> JobBulkOperation? {
        let running = operations.count { $0.state == .running }
        guard running < Self.maxRunning else { return nil }
        lastNumber += 1
        let operation = JobBulkOperation(
            number: lastNumber, action: action, target: target, preview: preview, at: now)
        operations.append(operation)
        return operation
    }

    /// Changes the operation with this number, and removes the oldest ended operations beyond
    /// ``maxEnded``.
    mutating func update(_ number: Int, _ change: (inout JobBulkOperation) -> Void) {
        guard let index = operations.firstIndex(where: { $0.number == number }) else { return }
        change(&operations[index])
        let ended = operations.filter { $0.state != .running }
        guard ended.count > Self.maxEnded else { return }
        let removed = ended[ended.count - Self.maxEnded - 1].number
        operations.removeAll { $0.state != .running && $0.number <= removed }
    }

    subscript(number: Int) -> JobBulkOperation? { operations.first { $0.number == number } }
}
