import NSQWire
import TallyBasics

/// The state that the topics, channels and sessions of one broker share: the current time, the
/// options, the log, the timers and the pending work.
final class BrokerContext {
    let options: BrokerOptions
    let slabs: SlabPool
    let memory = MemoryAccount()
    let log: MessageLogWriter
    let pending = PendingWork()
    let events = EventBuffer()
    let moves = FailedSetMoves()
    var budget: WorkBudget
    /// The time that the caller has passed to the current call.
    private(set) var now: Timestamp
    private var timers = DeadlineQueue<BrokerTimer>()
    private var random: SplitMix64
    private var lastSerial: UInt64 = 0

    init(options: BrokerOptions, messageLog: (any MessageLog)?, now: Timestamp) {
        self.options = options
        slabs = SlabPool(maxSpareBytes: options.maxSpareBytes)
        log = MessageLogWriter(messageLog)
        budget = WorkBudget(stepsPerIteration: options.stepsPerIteration)
        self.now = now
        random = SplitMix64(seed: options.seed)
    }

    func setTime(_ now: Timestamp) { self.now = now }

    /// Returns the time on the monotonic clock at which a recovered deferral ends. All times are in
    /// nanoseconds.
    ///
    /// If the wall clock was set back since the deferral began, the difference between `end` and
    /// the present time can be longer than the whole deferral. The remaining time is therefore
    /// limited to the length of the deferral, if that length is known.
    ///
    /// - Parameters:
    ///   - end: the end of the deferral on the wall clock.
    ///   - start: the start of the deferral on the wall clock; `nil` if it is not known. The length
    ///     of the deferral is then assumed to be ``BrokerOptions/maxRequeueTimeout``.
    func monotonic(atEndOfDeferral end: Int64, startedAt start: Int64?) -> Int64 {
        let remaining = end.subtractingSaturated(now.wall)
        let whole =
            start.map { end.subtractingSaturated($0) } ?? options.maxRequeueTimeout.nanoseconds
        // If the clock was set back during the deferral, before `end` was recorded, the end can be
        // before the start. The length of the deferral is then not known.
        return now.monotonic.addingSaturated(whole > 0 ? min(remaining, whole) : remaining)
    }

    /// Returns the time on the wall clock when the monotonic clock reaches `monotonic`, if neither
    /// clock jumps. Both times are in nanoseconds.
    func wall(atMonotonic monotonic: Int64) -> Int64 {
        now.wall.addingSaturated(monotonic.subtractingSaturated(now.monotonic))
    }

    // MARK: Work of commands

    /// The steps that the commands of the current session may still take in this iteration.
    private var commandSteps = 0

    /// `true` if the current session may execute another command in this iteration.
    @inline(__always)
    var hasCommandSteps: Bool { commandSteps > 0 }

    /// Begins the execution of a session's commands.
    func beginCommands(of session: Session) {
        if session.commandQuota.iteration != budget.iteration {
            session.beginCommandQuota(
                CommandQuota(
                    iteration: budget.iteration, steps: budget.commands.shareOfNewMember()))
        }
        commandSteps = session.commandQuota.steps
    }

    @inline(__always)
    func chargeCommand(_ steps: Int) { commandSteps -= steps }

    /// Ends the execution of a session's commands, and charges their steps to the iteration.
    func endCommands(of session: Session) {
        budget.commands.charge(session.commandQuota.steps - commandSteps)
        session.setCommandSteps(commandSteps)
    }

    // MARK: Timers

    var timerCount: Int { timers.count }
    var nextDeadline: Int64? { timers.nextDeadline }

    /// Schedules a timer.
    ///
    /// - Parameter deadline: the timer's time on the monotonic clock, in nanoseconds.
    func schedule(_ timer: BrokerTimer, deadline: Int64) {
        timers.insert(timer, deadline: deadline)
    }

    func popDueTimer() -> BrokerTimer? { timers.popDue(at: now.monotonic) }

    // MARK: Serial numbers of segments

    /// Returns the serial number of a new segment. The number is greater than all earlier serial
    /// numbers, and at least the wall clock time in units of 2^16 nanoseconds.
    func nextSerial() -> UInt64 {
        lastSerial = max(lastSerial + 1, UInt64(clamping: now.wall) >> 16)
        return lastSerial
    }

    /// Makes all new serial numbers greater than that of a recovered segment.
    func reserveSerial(_ serial: UInt64) { lastSerial = max(lastSerial, serial) }

    /// Returns the first ordinal of a new topic.
    ///
    /// With a message log, the ordinal derives from the wall clock, so that it is greater than all
    /// ordinals of a deleted topic with the same name. During recovery the first ordinal is 0,
    /// because the recovered messages supply the ordinals.
    func firstOrdinal() -> Int {
        log.isEnabled ? Int(clamping: nextSerial() << 16) : 0
    }

    // MARK: Memory

    /// Returns `true` if `byteCount` more bytes are within ``BrokerOptions/maxMemoryBytes``.
    func hasMemory(for byteCount: Int) -> Bool {
        slabs.usedBytes <= options.maxMemoryBytes - byteCount - memory.total
    }

    /// Returns `true` if there is memory for messages that are read back from the message log. A
    /// quarter of the memory stays reserved for publishers.
    func hasMemory(toReadBack byteCount: Int) -> Bool {
        hasMemory(for: byteCount + options.maxMemoryBytes / 4)
    }

    // MARK: Sampling

    /// Returns a random number from 0 to 99.
    func randomPercent() -> Int { Int(random.next() % 100) }
}

/// The purpose of a timer.
enum BrokerTimer {
    case session(SessionID)
    /// A timer of a channel, with the channel's number.
    case channel(UInt64)
    case maintenance
    case bulkOperations
}
