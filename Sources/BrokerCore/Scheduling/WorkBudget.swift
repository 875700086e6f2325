/// Limits the broker's work in one loop iteration, so that a client with many commands, deliveries
/// or timers does not delay the other clients. A step is about the work of one FIN.
///
/// Each kind of work has its own budget. Work beyond the budget is postponed: commands stay in the
/// connection's input buffer, topics and channels in ``PendingWork``, and timers in the timer queue.
/// Work that stops for another reason, such as a full outbox, is not postponed. It continues after
/// the event that it waits for.
struct WorkBudget {
    var commands: StepBudget
    /// The copies of messages for channels; `Topic.dispatchWithinBudget` uses it.
    var dispatches: StepBudget
    var deliveries: StepBudget
    var timers: StepBudget
    /// The release of the memory of deleted topics.
    var releases: StepBudget
    /// The number of the current iteration.
    private(set) var iteration = 0

    /// Creates the budgets of the first iteration.
    ///
    /// - Parameter steps: the number of steps of each budget.
    init(stepsPerIteration steps: Int) {
        commands = StepBudget(perIteration: steps)
        dispatches = StepBudget(perIteration: steps)
        deliveries = StepBudget(perIteration: steps)
        timers = StepBudget(perIteration: steps)
        releases = StepBudget(perIteration: steps)
    }

    mutating func beginIteration() {
        iteration += 1
        commands.beginIteration()
        dispatches.beginIteration()
        deliveries.beginIteration()
        timers.beginIteration()
        releases.beginIteration()
    }
}

/// The budget for one kind of work in one loop iteration.
struct StepBudget {
    private let perIteration: Int
    /// The steps that are left; at most 0 if the budget is used up.
    private(set) var remaining: Int
    private var memberCount = 0
    private var memberCountBefore = 0

    /// The share that each member (see ``shareOfNewMember()``) gets even if the budget is used up,
    /// so that all members progress.
    private static let minimumShare = 16

    init(perIteration: Int) {
        self.perIteration = max(1, perIteration)
        remaining = self.perIteration
    }

    mutating func beginIteration() {
        remaining = perIteration
        memberCountBefore = memberCount
        memberCount = 0
    }

    /// `true` if the budget of this iteration is not used up.
    var hasSteps: Bool { remaining > 0 }

    @inline(__always)
    mutating func charge(_ steps: Int) {
        // One indivisible piece of work can cost more than the budget. `remaining` can then become
        // negative, but never by more than the number of objects in memory.
        remaining -= steps
    }

    /// Adds a member, such as a session with commands, to this iteration.
    ///
    /// - Returns: the member's share of the steps. It is the budget divided by the number of members,
    ///   in this or the previous iteration, whichever is larger.
    mutating func shareOfNewMember() -> Int {
        memberCount += 1
        return share(ofMembers: max(memberCount, memberCountBefore))
    }

    /// Returns the share of one of `count` members.
    func share(ofMembers count: Int) -> Int {
        max(min(Self.minimumShare, perIteration), min(remaining, perIteration / max(1, count)))
    }
}

/// The costs in steps of work that takes more than one step. A step is about the work of one FIN.
enum WorkCost {
    /// The additional steps of a command that fails, for sending and logging its error.
    static let failure = 4
    /// The steps of creating a topic or channel.
    static let creation = 50

    /// The steps of adding a deferred message to a channel. The memory for the message is rarely in a
    /// processor cache, and sometimes has to grow.
    static let deferredCopy = 20

    /// The steps of releasing the memory of a channel.
    static let release = 20

    /// Returns the steps of copying or sending `count` bytes: one step for each 256 bytes.
    @inline(__always)
    static func bytes(_ count: Int) -> Int { count >> 8 }

    /// Returns the steps of parsing a JSON body of `count` bytes.
    static func json(_ count: Int) -> Int { count >> 4 }

    /// Returns the steps of appending `count` messages to a segment.
    static func messages(_ count: Int) -> Int { count >> 4 }
}
