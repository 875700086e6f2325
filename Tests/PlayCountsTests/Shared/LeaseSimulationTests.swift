import TallyBasics
import TestKit
import Testing

@testable import PlayCounts

/// Several processes compete for the lease of one client, with slow and lost requests, pauses,
/// crashes, and a server whose clock jumps.
@Suite struct `Processes that compete for the lease of a client` {
    @Test(arguments: Seeds.all)
    func `never send an older total after a newer one`(seed: UInt64) {
        var simulation = LeaseSimulation(seed: seed, jumpsClock: false)
        simulation.run(steps: 60_000)
        #expect(simulation.violations == [], Seeds.comment(seed))
        #expect(simulation.calls > 100, Seeds.comment(seed))
        #expect(simulation.takeovers > 3, Seeds.comment(seed))
    }

    @Test(arguments: Seeds.all)
    func `publish again soon after the server's clock was set back`(seed: UInt64) {
        var simulation = LeaseSimulation(seed: seed, jumpsClock: true)
        simulation.run(steps: 60_000)
        // Every process renews within 3 s; a crash and a clock that was set back cost at most two
        // leases, one call and the delays of requests.
        #expect(simulation.longestPause < .seconds(40), Seeds.comment(seed))
    }
}

/// The server, its clock, and the processes. A step is 10 ms.
private struct LeaseSimulation {
    private struct Row {
        var holder: Int?
        var epoch = 0
        var expires = MonotonicInstant.start
        var renewals = 0
        var published = 0
    }

    private struct Process {
        var lease: PublisherLease
        /// A process that is paused does nothing until this step.
        var pausedUntil = 0
        /// The request in progress: whether the server has executed it, and the response.
        var request: (at: Int, answerAt: Int, start: MonotonicInstant, PublisherLease.Request)?
        /// The call in progress.
        var call: (total: Int, arrivesAt: Int, endsAt: MonotonicInstant)?
    }

    private enum Response {
        case acquired(Int, Bool)
        case refused(Int)
        case renewed
        case lost
    }

    private(set) var violations: [String] = []
    private(set) var calls = 0
    private(set) var takeovers = 0
    private(set) var longestPause = Duration.zero
    private var generator: SeededGenerator
    private let jumpsClock: Bool
    private var row = Row()
    private var processes: [Process]
    private var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
    /// The server's clock minus the monotonic clock.
    private var clockOffset = Duration.zero
    private var total = 0
    private var received = 0
    private var lastCall: MonotonicInstant
    private let settings = PublisherLease.Settings()

    init(seed: UInt64, jumpsClock: Bool) {
        generator = SeededGenerator(seed: seed)
        self.jumpsClock = jumpsClock
        lastCall = now
        let start = now
        processes = (0..<3).map { _ in Process(lease: PublisherLease(at: start)) }
    }

    mutating func run(steps: Int) {
        for step in 0..<steps {
            now = now + .milliseconds(10)
            if step % 7 == 0 { total += 1 }
            if jumpsClock, chance(of: 2_000) {
                clockOffset += .seconds(Int.random(in: -3_600...60, using: &generator))
            }
            for index in processes.indices { advance(index, step) }
        }
        longestPause = max(longestPause, now - lastCall)
    }

    private mutating func chance(of number: Int) -> Bool {
        Int.random(in: 0..<number, using: &generator) == 0
    }

    private mutating func advance(_ index: Int, _ step: Int) {
        deliverCall(of: index, step)
        if chance(of: 3_000) {
            // A crash: another process takes its place.
            processes[index] = Process(lease: PublisherLease(at: now))
            processes[index].pausedUntil = step + 100
        }
        guard processes[index].pausedUntil <= step else { return }
        if chance(of: 2_000) {
            processes[index].pausedUntil = step + Int.random(in: 1...1_500, using: &generator)
            return
        }
        finishRequest(of: index, step)
        if let request = processes[index].lease.nextRequest(at: now) {
            let delay = Int.random(in: 0...(chance(of: 10) ? 250 : 3), using: &generator)
            processes[index].request = (
                step + delay, step + delay * 2, now, request
            )
        }
        startCall(of: index, step)
    }

    /// A call that arrives: the client compares the total with what it has received.
    private mutating func deliverCall(of index: Int, _ step: Int) {
        guard let call = processes[index].call, call.arrivesAt <= step else { return }
        processes[index].call = nil
        guard now <= call.endsAt else { return }
        calls += 1
        longestPause = max(longestPause, now - lastCall)
        lastCall = now
        if call.total < received {
            violations.append("from \(received) to \(call.total) at step \(step)")
        }
        received = call.total
    }

    private mutating func startCall(of index: Int, _ step: Int) {
        let process = processes[index]
        guard process.call == nil, let epoch = process.lease.heldEpoch(at: now),
            process.lease.mayCall(at: now), row.epoch == epoch, total > received
        else { return }
        // A slow client answers at the end of the deadline, or never.
        let delay = Int.random(in: 0...(chance(of: 5) ? 320 : 10), using: &generator)
        processes[index].call = (
            total, step + delay, now + settings.callDeadline
        )
    }

    private mutating func finishRequest(of index: Int, _ step: Int) {
        guard let request = processes[index].request, request.answerAt <= step else { return }
        processes[index].request = nil
        let response = execute(request.3, of: index)
        guard !chance(of: 20) else {
            return processes[index].lease.failed(at: now, retryAfter: .milliseconds(500))
        }
        switch response {
        case .acquired(let epoch, let wasTakenOver):
            if wasTakenOver { takeovers += 1 }
            processes[index].lease.acquired(
                epoch: epoch, wasTakenOver: wasTakenOver, requestedAt: request.start, at: now)
        case .refused(let renewals): processes[index].lease.refused(renewals: renewals, at: now)
        case .renewed: processes[index].lease.renewed(requestedAt: request.start)
        case .lost: processes[index].lease.lost(at: now)
        }
    }

    /// What the functions of the schema do.
    private mutating func execute(_ request: PublisherLease.Request, of index: Int) -> Response {
        let clock = now + clockOffset
        switch request {
        case .acquire(let dead):
            let isFree = row.holder == nil || row.holder == index
            guard isFree || row.expires <= clock || row.renewals == dead else {
                return .refused(row.renewals)
            }
            row.holder = index
            row.epoch += 1
            row.renewals += 1
            row.expires = clock + settings.duration
            return .acquired(row.epoch, !isFree)
        case .renew(let epoch):
            guard row.epoch == epoch else { return .lost }
            row.renewals += 1
            row.expires = clock + settings.duration
            return .renewed
        }
    }
}
