import BrokerCore
import DequeModule
import NSQWire
import TallyBasics
import UVLoop

/// The frames for one client that a fault delays. Responses stay in their order, and deliveries too.
final class DelayedFrames {
    private struct Entry {
        let dueNanoseconds: Int64
        let frame: [UInt8]
    }

    private let faults: BrokerFaults
    private let session: Session
    private let loop: Loop
    private let timer: Timer
    private let onDue: () -> Void
    private var responses: Deque<Entry> = []
    private var deliveries: Deque<Entry> = []

    /// Creates an empty object.
    ///
    /// - Parameter onDue: runs when frames are due; it must call ``update()``.
    init(
        _ faults: BrokerFaults, of session: Session, on loop: Loop, _ onDue: @escaping () -> Void
    ) {
        self.faults = faults
        self.session = session
        self.loop = loop
        self.onDue = onDue
        timer = Timer(on: loop)
    }

    /// Removes the frames that a fault delays from the session's outbox, and appends the delayed
    /// frames that are due. A session that has ended gets all frames, so that its client receives the
    /// reason.
    func update() {
        guard !faults.isEmpty || !responses.isEmpty || !deliveries.isEmpty else { return }
        var frames: [UInt8] = []
        session.outbox.drain { frames += $0 }
        var passed: [UInt8] = []
        takeDue(&responses, &passed)
        takeDue(&deliveries, &passed)
        frames.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let end = offset + MessageFrame.byteCount(of: bytes, at: offset)
                hold(bytes.view(offset..<end), &passed)
                offset = end
            }
        }
        session.outbox.append(passed)
        scheduleTimer()
    }

    /// `true` if the delay of at least one frame has passed.
    var isDue: Bool {
        [responses.first, deliveries.first].contains {
            $0.map { $0.dueNanoseconds <= loop.nowNanoseconds } ?? false
        }
    }

    private func takeDue(_ entries: inout Deque<Entry>, _ passed: inout [UInt8]) {
        while let first = entries.first,
            session.isEnded || first.dueNanoseconds <= loop.nowNanoseconds
        {
            passed += first.frame
            entries.removeFirst()
        }
    }

    /// Delays a frame, or appends it to `passed` if neither this frame nor one before it is delayed.
    private func hold(_ frame: Bytes, _ passed: inout [UInt8]) {
        guard !session.isEnded, !isHeartbeat(frame) else { return passed += frame }
        if frame.bigEndian(at: 4, as: Int32.self) == Frame.Kind.message.rawValue {
            let topic = session.subscribedTopic?.text ?? ""
            hold(frame, &deliveries, for: faults.deliveryDelay(of: topic), &passed)
        } else {
            hold(frame, &responses, for: faults.answerDelay(), &passed)
        }
    }

    private func hold(
        _ frame: Bytes, _ entries: inout Deque<Entry>, for delay: Duration, _ passed: inout [UInt8]
    ) {
        guard delay > .zero || !entries.isEmpty else { return passed += frame }
        let due = max(
            loop.nowNanoseconds.addingSaturated(delay.nanosecondsRoundedUp),
            entries.last?.dueNanoseconds ?? 0)
        entries.append(Entry(dueNanoseconds: due, frame: Array(frame)))
    }

    private func isHeartbeat(_ frame: Bytes) -> Bool {
        frame.dropFirst(Frame.headerBytes).elementsEqual(Frame.heartbeat.bytes)
    }

    private func scheduleTimer() {
        let due = [responses.first, deliveries.first].compactMap { $0?.dueNanoseconds }.min()
        guard let due else { return timer.stop() }
        timer.start(after: .nanoseconds(max(0, due - loop.nowNanoseconds))) { [weak self] in
            self?.onDue()
        }
    }

    /// Discards the delayed frames.
    func close() {
        responses = []
        deliveries = []
        timer.close()
    }
}
