import BrokerCore
import Glibc
import NSQBroker
import NSQWire
import TallyBasics
import TestKit

/// A broker with a journal on an unreliable disk, clients on an unreliable network, and a checker of
/// the broker's guarantees. One seed determines all events.
final class SimulatedCluster {
    let seed: UInt64
    var random: SeededGenerator
    let options: BrokerOptions
    let journalOptions: Journal.Options
    let disk: SimulatedDisk
    private(set) var broker: Broker
    private(set) var journal: Journal
    var checker: DeliveryChecker
    var clients: [SimulatedClient] = []
    /// The moves of messages whose end is not known.
    var moves: [Move] = []
    /// The maximum size in bytes of a message body.
    let bodyBytes: Int

    private(set) var now = Timestamp(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
    private(set) var iteration = 0
    private var lastIterationBeforeSync = 0
    private var syncDoneAt = Int64.max
    private var nextSync: Int64 = 0
    /// `true` if a bit of the journal was flipped.
    var isDamaged = false

    private(set) var failure: String?
    /// Returns `true` if all events are printed.
    let isTraced: Bool

    static let topics = [TopicName("plays")!, TopicName("likes")!, TopicName("brief#ephemeral")!]
    static let channels = [
        ChannelName("count")!, ChannelName("archive")!, ChannelName("brief#ephemeral")!,
    ]
    /// The time between two syncs in nanoseconds (`--sync-timeout`).
    static let syncInterval: Int64 = 2_000_000_000

    init(seed: UInt64, isTraced: Bool) {
        self.seed = seed
        self.isTraced = isTraced
        var random = SeededGenerator(seed: seed)
        var options = BrokerOptions()
        options.seed = seed
        options.memoryQueueSize = [1, 20, 100, 10_000].randomElement(using: &random)!
        options.maxMemoryBytes = [60_000, 400_000, 2 << 30, 2 << 30].randomElement(using: &random)!
        options.maxUnsentBytes = [2_000, 1 << 20].randomElement(using: &random)!
        options.messageTimeout = .milliseconds(Int.random(in: 300...4_000, using: &random))
        options.maxMessageTimeout = .seconds(6)
        if Int.random(in: 0..<4, using: &random) == 0 {
            options.lifetimes.byTopic[Self.topics[1]] = .seconds(5)
        }
        Self.setLimits(in: &options, seed: seed)
        var journal = Journal.Options()
        journal.salt = { 1 }
        journal.maxBytesPerFile = [600, 4_000, 30_000, 1 << 20].randomElement(using: &random)!
        journal.maxDiskBytes = [0, 0, 0, 200_000].randomElement(using: &random)!
        journal.respondsAfterSync = Bool.random(using: &random)
        journal.syncEvery = Int.random(in: 1...60, using: &random)
        journalOptions = journal
        options.stepsPerIteration = [1, 30, 300, 50_000, 50_000].randomElement(using: &random)!
        self.options = options
        bodyBytes = [20, 300, 2_000, 80_000].randomElement(using: &random)!
        disk = SimulatedDisk(seed: random.next())
        self.random = random
        self.journal = Journal(on: disk, journal)
        broker = Broker(options: options, messageLog: self.journal, at: now)
        checker = DeliveryChecker(
            respondsAfterSync: journal.respondsAfterSync, options: options,
            hasSpace: journal.maxDiskBytes == 0)
        connectCallbacks()
    }

    func fail(_ what: String) {
        trace("! \(what)")
        if failure == nil { failure = what }
    }

    func trace(_ what: @autoclosure () -> String) {
        guard isTraced else { return }
        print("\(iteration): \(what())")
        // The next event may crash this process.
        fflush(nil)
    }

    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    // MARK: Broker and disk

    private func connectCallbacks() {
        journal.onSync = { [unowned self] write, error in
            if let error {
                broker.didFailSync(upTo: write, error, at: now)
            } else {
                broker.didSync(upTo: write, at: now)
            }
        }
        disk.onSyncStart = { [unowned self] in
            lastIterationBeforeSync = iteration - 1
            syncDoneAt = now.monotonic + Int64.random(in: 0...1_500_000_000, using: &random)
        }
    }

    /// Ends the broker process and starts another one on its disk.
    func restart(after crash: Crash) {
        trace("\(crash.rawValue)")
        let interrupted = moves
        moves = []
        var crash = crash
        clients = []
        syncDoneAt = .max
        while true {
            disk.processEnded()
            if crash == .powerCut { disk.powerFailed() }
            let away = Int64.random(in: 0...3_000_000_000, using: &random)
            now = Timestamp(
                monotonic: crash == .kill
                    ? now.monotonic + away
                    : Int64.random(in: 0...9_000_000_000_000, using: &random),
                wall: now.wall + away)
            // Sometimes the new process crashes during recovery.
            let endsAgain = chance(15)
            disk.callsUntilCrash = endsAgain ? Int.random(in: 0...8, using: &random) : nil
            if !endsAgain, chance(70) { disk.faults = SimulatedDisk.Faults() }
            if recover(), !endsAgain { break }
            if failure != nil { return }
            disk.faults = SimulatedDisk.Faults()
            if endsAgain, chance(30) { crash = .powerCut }
            trace("again: \(crash.rawValue)")
        }
        nextSync = now.monotonic + Self.syncInterval
        iteration += 1
        for topic in broker.statistics(at: now).topics { trace("up: \(topic.summary)") }
        if let violation = checker.checkRecovery(crash, broker.statistics(at: now)) {
            fail(violation)
        }
        if crash == .kill { checkInterrupted(interrupted) }
        endIteration(failures: disk.failures)
    }

    /// Starts a broker.
    ///
    /// - Returns: `true` if it has recovered.
    private func recover() -> Bool {
        journal = Journal(on: disk, journalOptions)
        broker = Broker(options: options, messageLog: journal, at: now)
        connectCallbacks()
        do throws(MessageLogError) {
            let report = try journal.recover(into: broker, at: now)
            trace("recovered \(report)")
            return !disk.hasCrashed
        } catch {
            trace("recovery failed: \(error)")
            let isExpected = disk.hasCrashed || disk.faults != SimulatedDisk.Faults()
            if !isExpected { fail("it does not start: \(error)") }
            return false
        }
    }

    // MARK: Loop iterations

    /// Runs `body` as one loop iteration.
    func runIteration(_ body: () -> Void) {
        guard failure == nil else { return }
        iteration += 1
        let failures = disk.failures
        body()
        endIteration(failures: failures)
    }

    /// The maximum number of loop iterations that continue postponed work. Seeds need a few thousand.
    private static let maxContinuations = 1_000_000

    /// Ends the iteration, and runs further ones until the broker has postponed no work.
    private func endIteration(failures: Int) {
        var continuations = 0
        repeat {
            guard deliver() else { return restartAfterCrash() }
            guard continuations < Self.maxContinuations else {
                return fail("the broker postpones work without progress")
            }
            continuations += 1
        } while broker.hasPostponedWork || continueInput()
        _ = broker.drainEvents()
        if disk.failures == failures { checker.didWrite(in: iteration) }
        check()
    }

    /// Ends one loop iteration.
    ///
    /// - Returns: `false` if the broker has crashed.
    private func deliver() -> Bool {
        while true {
            let sessions = broker.endIteration(at: now)
            // A crashed process sends nothing to its clients.
            guard !disk.hasCrashed else { return false }
            checker.dispatchAll()
            flush(sessions)
            guard !sessions.isEmpty else { return true }
        }
    }

    /// Passes the commands that the broker has postponed to it again.
    ///
    /// - Returns: `true` if there were any.
    private func continueInput() -> Bool {
        let postponed = clients.filter(\.session.hasPostponedInput)
        for client in postponed { transmit(client, 0) }
        return !postponed.isEmpty
    }

    private func restartAfterCrash() {
        settleAllUncertain()
        restart(after: chance(60) ? .kill : .powerCut)
    }

    // MARK: Time

    /// Advances the time and runs the timers that are due.
    func advanceTime(by nanoseconds: Int64) {
        let end = now + .nanoseconds(nanoseconds)
        while failure == nil {
            let due = min(broker.nextDeadline ?? .max, syncDoneAt, nextSync)
            guard due <= end.monotonic else { break }
            let before = now
            now = now + .nanoseconds(max(0, due - now.monotonic))
            runIteration { runDueTimers() }
            // A crash may have changed the clocks.
            guard now.monotonic >= before.monotonic, now.wall < end.wall else { return }
        }
        guard now.wall < end.wall else { return }
        now = now + .nanoseconds(end.wall - now.wall)
        runIteration { for client in clients { client.send(.nop) } }
    }

    private func runDueTimers() {
        if syncDoneAt <= now.monotonic {
            syncDoneAt = .max
            let synced = lastIterationBeforeSync
            let isDone = disk.finishSync()
            trace(isDone ? "synced" : "sync failed")
            if isDone { checker.didSync(upTo: synced) } else { checker.didFailSync(in: iteration) }
        }
        if nextSync <= now.monotonic {
            nextSync = now.monotonic + Self.syncInterval
            journal.retryAfterFailure()
            journal.sync()
        }
        broker.tick(at: now)
    }

    // MARK: Clients

    func connect(_ role: SimulatedClient.Role) -> SimulatedClient {
        let session = broker.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: now)
        let client = SimulatedClient(session, role)
        clients.append(client)
        client.send(Array(Command.magic.bytes))
        if case .consumer(let topic, let channel) = role {
            client.send(.subscribe(topic, channel), .subscribe)
        }
        return client
    }

    /// Disconnects a client.
    func disconnect(_ client: SimulatedClient) {
        broker.disconnect(client.session, at: now)
        clients.removeAll { $0 === client }
        settleUncertain(client)
        guard case .consumer(let topic, let channel) = client.role, channel.isEphemeral,
            checker.topics[topic]?.channels[channel]?.exists == true,
            !clients.contains(where: { $0.hasSubscribed(to: topic, channel) }),
            client.hasSubscribed
        else { return }
        checker.delete(channel, of: topic)
    }
}

extension TopicStatistics {
    /// A summary for the trace.
    var summary: String {
        let channels = channels.map {
            "\($0.name)\($0.isPaused ? " paused" : "") \($0.depth)+\($0.deferredCount)"
        }
        return "\(name)\(isPaused ? " paused" : "") \(depth), \(channels)"
    }
}
