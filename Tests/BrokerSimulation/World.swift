import BrokerCore
import Glibc
import NSQBroker
import NSQWire
import TestKit

/// A broker with its journal on a bad disk, its clients on a bad network, and what it has promised.
/// All of it follows from one seed.
final class World {
    let seed: UInt64
    var random: SeededGenerator
    let options: BrokerOptions
    let journalOptions: Journal.Options
    let disk: SimulatedDisk
    private(set) var broker: Broker
    private(set) var journal: Journal
    var promises: Promises
    var clients: [SimulatedClient] = []
    /// Largest message of this world.
    let bodyBytes: Int

    private(set) var now = Moment(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
    private(set) var turn = 0
    private var syncTurn = 0
    private var syncDoneAt = Int64.max
    private var nextSync: Int64 = 0
    /// Old data was damaged.
    var isDamaged = false

    private(set) var failure: String?
    /// What happens is printed.
    let isTold: Bool

    static let topics = [TopicName("plays")!, TopicName("likes")!, TopicName("brief#ephemeral")!]
    static let channels = [
        ChannelName("count")!, ChannelName("archive")!, ChannelName("brief#ephemeral")!,
    ]
    /// How often what was written is synced (`--sync-timeout`).
    static let syncInterval: Int64 = 2_000_000_000

    init(seed: UInt64, isTold: Bool) {
        self.seed = seed
        self.isTold = isTold
        var random = SeededGenerator(seed: seed)
        var options = BrokerOptions()
        options.seed = seed
        options.memoryQueueSize = [1, 20, 100, 10_000].randomElement(using: &random)!
        options.maxMemoryBytes = [60_000, 400_000, 2 << 30, 2 << 30].randomElement(using: &random)!
        options.maxUnsentBytes = [2_000, 1 << 20].randomElement(using: &random)!
        options.messageTimeout = .milliseconds(Int.random(in: 300...4_000, using: &random))
        options.maxMessageTimeout = .seconds(6)
        self.options = options
        var journal = Journal.Options()
        journal.salt = { 1 }
        journal.maxBytesPerFile = [600, 4_000, 30_000, 1 << 20].randomElement(using: &random)!
        journal.maxDiskBytes = [0, 0, 0, 200_000].randomElement(using: &random)!
        journal.answersAfterSync = Bool.random(using: &random)
        journal.syncEvery = Int.random(in: 1...60, using: &random)
        journalOptions = journal
        bodyBytes = [20, 300, 2_000, 80_000].randomElement(using: &random)!
        disk = SimulatedDisk(seed: random.next())
        self.random = random
        self.journal = Journal(on: disk, journal)
        broker = Broker(options: options, ledger: self.journal, at: now)
        promises = Promises(answersAfterSync: journal.answersAfterSync)
        connectParts()
    }

    func fail(_ what: String) {
        note("! \(what)")
        if failure == nil { failure = what }
    }

    func note(_ what: @autoclosure () -> String) {
        guard isTold else { return }
        print("\(turn): \(what())")
        // Whatever comes next may end the process.
        fflush(nil)
    }

    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    // MARK: The parts

    private func connectParts() {
        journal.onSync = { [unowned self] write, error in
            if let error {
                broker.syncFailed(upTo: write, error, at: now)
            } else {
                broker.synced(upTo: write, at: now)
            }
        }
        disk.whenSyncBegins = { [unowned self] in
            syncTurn = turn - 1
            syncDoneAt = now.monotonic + Int64.random(in: 0...1_500_000_000, using: &random)
        }
    }

    /// Ends the broker, and starts another on what it left.
    func restart(after crash: Crash) {
        note("\(crash.rawValue)")
        var crash = crash
        clients = []
        syncDoneAt = .max
        while true {
            disk.processEnded()
            if crash == .powerCut { disk.powerFailed() }
            let away = Int64.random(in: 0...3_000_000_000, using: &random)
            now = Moment(
                monotonic: crash == .kill
                    ? now.monotonic + away
                    : Int64.random(in: 0...9_000_000_000_000, using: &random),
                wall: now.wall + away)
            // Now and then it ends again before it is up.
            let endsAgain = chance(15)
            disk.callsToLive = endsAgain ? Int.random(in: 0...8, using: &random) : nil
            if !endsAgain, chance(70) { disk.troubles = SimulatedDisk.Troubles() }
            if recover(), !endsAgain { break }
            if failure != nil { return }
            disk.troubles = SimulatedDisk.Troubles()
            if endsAgain, chance(30) { crash = .powerCut }
            note("again: \(crash.rawValue)")
        }
        nextSync = now.monotonic + Self.syncInterval
        turn += 1
        for topic in broker.statistics(at: now).topics { note("up: \(topic.summary)") }
        if let wrong = promises.survived(crash, broker.statistics(at: now)) { fail(wrong) }
        endTurn(failures: disk.failures)
    }

    /// - Returns: whether the broker is up.
    private func recover() -> Bool {
        journal = Journal(on: disk, journalOptions)
        broker = Broker(options: options, ledger: journal, at: now)
        connectParts()
        do throws(LedgerError) {
            let report = try journal.recover(into: broker, at: now)
            note("recovered \(report)")
            return !disk.isDead
        } catch {
            note("start refused: \(error)")
            let isExpected = disk.isDead || disk.troubles != SimulatedDisk.Troubles()
            if !isExpected { fail("it does not start: \(error)") }
            return false
        }
    }

    // MARK: Turns

    /// Everything in `body` is one turn of the loop.
    func takeTurn(_ body: () -> Void) {
        guard failure == nil else { return }
        turn += 1
        let failures = disk.failures
        body()
        endTurn(failures: failures)
    }

    private func endTurn(failures: Int) {
        while true {
            let sessions = broker.endTurn(at: now)
            // A process that is dead tells nobody anything.
            guard !disk.isDead else { return died() }
            promises.handOverAll()
            flush(sessions)
            guard !sessions.isEmpty else { break }
        }
        _ = broker.takeEvents()
        if disk.failures == failures { promises.wasWritten(in: turn) }
        check()
    }

    private func died() {
        leaveUncertain()
        restart(after: chance(60) ? .kill : .powerCut)
    }

    // MARK: Time

    /// Lets time pass, with all that is due in it.
    func pass(_ nanoseconds: Int64) {
        let end = now + .nanoseconds(nanoseconds)
        while failure == nil {
            let due = min(broker.nextDeadline ?? .max, syncDoneAt, nextSync)
            guard due <= end.monotonic else { break }
            let before = now
            now = now + .nanoseconds(max(0, due - now.monotonic))
            takeTurn { somethingIsDue() }
            // After a crash another time has begun.
            guard now.monotonic >= before.monotonic, now.wall < end.wall else { return }
        }
        guard now.wall < end.wall else { return }
        now = now + .nanoseconds(end.wall - now.wall)
        takeTurn { for client in clients { client.say(.nop) } }
    }

    private func somethingIsDue() {
        if syncDoneAt <= now.monotonic {
            syncDoneAt = .max
            let synced = syncTurn
            let isDone = disk.finishSync()
            note(isDone ? "synced" : "sync failed")
            if isDone { promises.wasSynced(upTo: synced) } else { promises.syncFailed(in: turn) }
        }
        if nextSync <= now.monotonic {
            nextSync = now.monotonic + Self.syncInterval
            journal.tryAgain()
            journal.sync()
        }
        broker.tick(at: now)
    }

    // MARK: Clients

    func connect(_ role: SimulatedClient.Role) -> SimulatedClient {
        let session = broker.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: now)
        let client = SimulatedClient(session, role)
        clients.append(client)
        client.say(Array(Command.magic.bytes))
        if case .consumer(let topic, let channel) = role {
            client.say(.subscribe(topic, channel), .subscribe)
        }
        return client
    }

    /// The connection ends.
    func cut(_ client: SimulatedClient) {
        broker.disconnect(client.session, at: now)
        clients.removeAll { $0 === client }
        settleUncertain(client)
        guard case .consumer(let topic, let channel) = client.role, channel.isEphemeral,
            promises.topics[topic]?.channels[channel]?.exists == true,
            !clients.contains(where: { $0.hasSubscribed(to: topic, channel) }),
            client.hasSubscribed
        else { return }
        promises.delete(channel, of: topic)
    }
}

extension TopicStatistics {
    /// For the trace.
    var summary: String {
        let channels = channels.map {
            "\($0.name)\($0.isPaused ? " paused" : "") \($0.depth)+\($0.deferredCount)"
        }
        return "\(name)\(isPaused ? " paused" : "") \(depth), \(channels)"
    }
}
