import BrokerCore
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The drain of a broker. The broker refuses publishes, unregisters from nsqlookupd, and delivers
/// its messages until none is left.
///
/// Connected consumers stay connected, and new consumers can connect. A drain ends when the broker
/// stops, or with ``cancel()``. It is not stored: a restarted broker accepts messages.
final class BrokerDrain {
    /// The state of a drain, as `GET /drain` reports it.
    enum State: String {
        /// The broker is not being drained.
        case running
        case draining
        /// No message is left, and the program that runs the broker is about to stop it.
        case drained
    }

    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    private(set) var state = State.running
    private(set) var rate = DrainRate()
    private var timer: Timer?
    /// The hand-over of the messages to another broker; `nil` without one.
    private(set) var handOver: HandOver?
    /// Ended hand-overs whose last batches are still being sent.
    private var endingHandOvers: [HandOver] = []
    /// The time at which the last message was finished, on the monotonic clock in nanoseconds.
    private var drainedAt: Int64?
    /// `true` once a client has read that the broker is drained.
    private var isReported = false
    /// Runs once, when no message is left. The program that runs the broker then stops it.
    var onDrained: (() -> Void)?

    /// The interval at which the broker checks whether a message is left.
    private static let interval = Duration.milliseconds(50)
    /// The maximum time from the finish of the last message to ``onDrained``. During this time,
    /// clients that wait for the end of the drain can read the state.
    private static let reportTime = Duration.seconds(2)

    init(of server: BrokerServer) { self.server = server }

    var messagesLeft: Int { server.broker.unfinishedCount }

    // MARK: Begin and end

    /// Begins the drain.
    ///
    /// - Parameter destination: the broker that receives the messages; `nil` does not change the
    ///   destination of a drain that has already begun.
    func begin(handingOverTo destination: HandOver? = nil) {
        if let destination {
            if let handOver, handOver.isSame(as: destination) {
                handOver.identifyAgain()
            } else {
                endHandOver()
                handOver = destination
            }
        }
        guard state == .running else { return }
        state = .draining
        server.broker.beginDrain()
        server.lookup.withdraw()
        rate = DrainRate(messagesLeft, at: server.now.monotonic)
        server.logger.info("DRAIN: publishes are refused, \(counted(messagesLeft, "message")) left")
        let timer = Timer(on: server.loop)
        self.timer = timer
        timer.start(after: .zero, repeating: Self.interval) { [unowned self] in check() }
    }

    /// Accepts publishes again, and registers at the nsqlookupds. Does nothing without a drain.
    func cancel() {
        guard state != .running else { return }
        closeTimer()
        endHandOver()
        state = .running
        drainedAt = nil
        isReported = false
        server.broker.endDrain()
        server.lookup.start()
        server.logger.info("DRAIN: cancelled, \(counted(messagesLeft, "message")) left")
    }

    private func endHandOver() {
        guard let handOver else { return }
        handOver.end()
        if !handOver.hasEnded { endingHandOvers.append(handOver) }
        self.handOver = nil
    }

    /// Ends the timer and all requests before the broker stops.
    func stop() {
        closeTimer()
        for handOver in endingHandOvers { handOver.stop() }
        endingHandOvers = []
        handOver?.stop()
        handOver = nil
    }

    private func closeTimer() {
        timer?.close()
        timer = nil
    }

    /// Records that a client has read the state.
    func didReport() { isReported = state == .drained }

    private func check() {
        let left = messagesLeft
        let now = server.now.monotonic
        rate.add(left, at: now)
        guard left == 0 else {
            state = .draining
            drainedAt = nil
            // A batch that is still being sent must not be sent to the next destination too.
            endingHandOvers.removeAll(where: \.hasEnded)
            if endingHandOvers.isEmpty { handOver?.poll() }
            return
        }
        if state == .draining {
            state = .drained
            drainedAt = now
            server.logger.info("DRAIN: no message is left")
        }
        guard isReported || now - (drainedAt ?? now) >= Self.reportTime.nanoseconds else { return }
        let onDrained = onDrained
        self.onDrained = nil
        onDrained?()
    }
}

/// The rate of a drain, computed from the numbers of messages that were left in the last ten
/// seconds.
struct DrainRate {
    private struct Sample {
        var left: Int
        var time: Int64
    }

    /// The number of messages at the beginning.
    let atStart: Int
    // INVARIANT: the samples are at least `interval` apart, and at most `maxSamples`.
    private var samples: [Sample]
    private var latest: Sample

    private static let interval = Duration.seconds(1)
    private static let maxSamples = 10

    /// Starts the measurement with a number of messages, at a time on the monotonic clock in
    /// nanoseconds.
    init(_ left: Int = 0, at time: Int64 = 0) {
        atStart = left
        latest = Sample(left: left, time: time)
        samples = [latest]
    }

    /// Adds the number of messages that are left at a later time.
    mutating func add(_ left: Int, at time: Int64) {
        latest = Sample(left: left, time: time)
        guard time - samples[samples.count - 1].time >= Self.interval.nanoseconds else { return }
        samples.append(latest)
        if samples.count > Self.maxSamples { samples.removeFirst() }
    }

    /// The number of messages per second that have left the broker over the last ten seconds; 0 at
    /// the beginning, and if the number of messages has not decreased.
    var perSecond: Double {
        let first = samples[0]
        guard latest.time > first.time, first.left > latest.left else { return 0 }
        return Double(first.left - latest.left) / (Double(latest.time - first.time) / 1e9)
    }
}
