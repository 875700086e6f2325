import Logging
import NSQWire
import TallyBasics
import UVLoop

/// A consumer's connection to one nsqd, which reconnects after a delay. It also tracks the messages
/// in flight from this nsqd.
final class ConsumerConnection {
    let address: SocketAddress
    /// The serial number of the current connection; nil until it is established.
    private(set) var number: Int?

    private unowned let engine: ConsumerEngine
    private let reconnects: ReconnectSchedule
    private var tracker = InFlightTracker()
    private var connection: Connection?
    private var isCloseWaitReceived = false
    /// `true` after ``leave()``: no nsqlookupd reports the nsqd any more, so the connection ends and is
    /// not replaced.
    private(set) var isLeaving = false
    private var hasReceivedMessages = false
    /// The monotonic time of the last message; before the first message, of the start of the
    /// connection.
    private var lastActivityNanoseconds: Int64 = 0
    private var wasIdle = false
    private var timeoutNanoseconds: Int64 = 0
    private var maxTimeoutNanoseconds: Int64 = 0
    /// The backoff of this nsqd; nil unless the option `backoffScope` is ``BackoffScope/nsqd``.
    private var backoff: NSQDBackoff?

    init(of engine: ConsumerEngine, nsqd address: SocketAddress) {
        self.engine = engine
        self.address = address
        reconnects = ReconnectSchedule(on: engine.loop, options: engine.options.client)
        guard engine.options.backoffScope == .nsqd else { return }
        backoff = NSQDBackoff(on: engine.loop, options: engine.options) {
            [unowned self] in applyBackoff()
        }
    }

    /// `true` while there is neither a connection nor a connection attempt.
    var isUnconnected: Bool { connection == nil }

    var inFlight: Int { tracker.messageCount }

    /// Determines whether the connection is idle: no message was received since `time`, and none is in
    /// flight. The next message of an idle connection is reported to the engine.
    func updateIdle(sinceNanoseconds time: Int64) -> Bool {
        wasIdle = inFlight == 0 && lastActivityNanoseconds < time
        return wasIdle
    }

    func connect() {
        var identify = Identify(for: engine.options.client)
        identify.messageTimeout = engine.options.messageTimeout?.millisecondsRoundedUp
        identify.outputBufferTimeout = engine.options.outputBufferTimeout?.millisecondsRoundedUp
        identify.outputBufferSize = engine.options.outputBufferBytes
        identify.sampleRate = engine.options.samplePercent
        let connection = Connection(
            on: engine.loop, to: address, as: engine.role, identify: identify,
            options: engine.options.client, delegate: self)
        self.connection = connection
        connection.start()
    }

    func setReady(_ count: Int) {
        guard !engine.isStopping, !isLeaving else { return }
        connection?.write { Command.ready(count: count).append(to: &$0) }
    }

    /// Reports to the backoff of the nsqd whether a message was processed or failed.
    func recordOutcome(isSuccess: Bool) {
        guard !engine.isStopping, !isLeaving else { return }
        guard let wait = backoff?.record(isSuccess: isSuccess) else { return }
        engine.logger.warning("messages of nsqd at \(address) fail; waiting for \(wait)")
    }

    private func applyBackoff() {
        guard let number, let backoff else { return }
        engine.limitReady(of: number, to: backoff.limit)
        engine.updateDirectWriting()
    }

    /// Sends `FIN` for those messages of a batch that are in flight. If no message of the batch is
    /// completed yet, all FIN lines are encoded in one pass.
    func finish(_ batch: MessageBatch) {
        guard let completed = tracker.completeRest(ofBatch: batch.serial) else {
            return logExpired(batch)
        }
        connection?.write { out in
            if completed.isEmpty {
                FinishLine.append(batch.ids, to: &out)
            } else {
                append(batch, except: completed, to: &out) { Command.finish($0) }
            }
        }
        drainIfDone()
    }

    /// Completes those messages of a batch that are in flight, and sends the command for each.
    func complete(_ batch: MessageBatch, with command: (MessageID) -> Command) {
        guard let completed = tracker.completeRest(ofBatch: batch.serial) else {
            return logExpired(batch)
        }
        connection?.write { append(batch, except: completed, to: &$0, command) }
        drainIfDone()
    }

    /// Completes a message and sends the command, if the message is in flight.
    func complete(_ message: Message, with command: (MessageID) -> Command) {
        let place = message.place
        guard tracker.completeMessage(at: place.index, of: place.batch) else { return }
        connection?.write { command(message.wireID).append(to: &$0) }
        drainIfDone()
    }

    /// Completes a message whose FIN was written directly.
    ///
    /// - Parameter isPartlyWritten: `true` if the connection must write the rest of the FIN.
    func didFinishDirectly(_ message: Message, isPartlyWritten: Bool) {
        if isPartlyWritten { connection?.write { _ in } }
        guard tracker.completeMessage(at: message.place.index, of: message.place.batch) else {
            return
        }
        drainIfDone()
    }

    /// Allows the tasks that process messages to write FIN directly, except during the backoff of the
    /// nsqd.
    func setDirectWriting(_ isAllowed: Bool) {
        connection?.setDirectWriting(isAllowed && backoff?.limit == nil)
    }

    func touch(_ batch: MessageBatch) {
        let due = engine.loop.nowNanoseconds.addingSaturated(timeoutNanoseconds)
        guard let completed = tracker.extendBatch(batch.serial, dueNanoseconds: due) else {
            return logExpired(batch)
        }
        connection?.write { append(batch, except: completed, to: &$0) { Command.touch($0) } }
    }

    /// Restarts the timeout of a message in flight. The tracker has one timeout for each batch, so it
    /// extends the timeout of the whole batch.
    func touch(_ message: Message) {
        let place = message.place
        guard tracker.isInFlight(place.index, of: place.batch) else { return }
        let due = engine.loop.nowNanoseconds.addingSaturated(timeoutNanoseconds)
        _ = tracker.extendBatch(place.batch, dueNanoseconds: due)
        connection?.write { Command.touch(message.wireID).append(to: &$0) }
    }

    /// Restarts the timeouts that would pass soon, if the engine keeps messages alive, and removes
    /// the messages whose timeout has passed.
    func runMaintenance(atNanoseconds now: Int64) {
        if engine.keepsMessagesAlive {
            let touched = tracker.keepAlive(
                dueBeforeNanoseconds: now.addingSaturated(timeoutNanoseconds / 2),
                untilNanoseconds: now.addingSaturated(timeoutNanoseconds))
            if !touched.isEmpty {
                connection?.write { out in
                    for id in touched { Command.touch(id).append(to: &out) }
                }
            }
        }
        expire(atNanoseconds: now)
    }

    private func expire(atNanoseconds now: Int64) {
        let expired = tracker.expire(atNanoseconds: now)
        guard expired > 0 else { return }
        engine.logger.warning(
            "\(expired) messages from nsqd at \(address) had no answer before their timeout")
        if let number { engine.onMessagesLost(number, tracker.firstSerial) }
        drainIfDone()
    }

    /// Returns `true` if messages are in flight, or were received since the previous call.
    func takeActivity() -> Bool {
        defer { hasReceivedMessages = false }
        return hasReceivedMessages || inFlight > 0
    }

    /// Completes the messages in flight, ends the connection, and removes it from the engine.
    func leave() {
        isLeaving = true
        stop()
        if isUnconnected { engine.connectionDidLeave(self) }
    }

    func stop() {
        reconnects.close()
        backoff?.close()
        guard let connection else { return }
        if connection.isEstablished { connection.close() } else { connection.drain() }
    }

    func abandon() {
        connection?.fail("the consumer was deallocated")
    }

    private func append(
        _ batch: MessageBatch, except completed: Set<Int>, to out: inout [UInt8],
        _ command: (MessageID) -> Command
    ) {
        for (index, id) in batch.ids.enumerated() where !completed.contains(index) {
            command(id).append(to: &out)
        }
    }

    private func logExpired(_ batch: MessageBatch) {
        engine.logger.debug("a batch of \(batch.count) was answered twice or after its timeout")
    }

    private func drainIfDone() {
        if isCloseWaitReceived, tracker.messageCount == 0 { connection?.drain() }
    }
}

extension ConsumerConnection: ConnectionDelegate {
    func connectionDidEstablish(_ connection: Connection) {
        reconnects.reset()
        engine.logger.debug("subscribed at nsqd \(address)")
        connection.logChangedSettings(to: engine.logger)
        tracker = InFlightTracker()
        timeoutNanoseconds = connection.limits.messageTimeout.nanoseconds
        lastActivityNanoseconds = engine.loop.nowNanoseconds
        maxTimeoutNanoseconds = connection.limits.maxMessageTimeout.nanoseconds
        engine.connectionDidEstablish(self, maxReady: connection.limits.maxReadyCount) {
            number = $0
        }
        applyBackoff()
    }

    func connection(
        _ connection: Connection, didReceiveMessagesAt offsets: [UInt32], in buffer: ReceiveBuffer
    ) {
        let now = engine.loop.nowNanoseconds
        hasReceivedMessages = true
        lastActivityNanoseconds = now
        let serial = tracker.addBatch(
            count: offsets.count, dueNanoseconds: now.addingSaturated(timeoutNanoseconds))
        let batch = MessageBatch(
            buffer: buffer, offsets: offsets, connection: number!, serial: serial, nsqd: address)
        if engine.keepsMessagesAlive {
            tracker.setKeepAlive(
                batch.ids, until: now.addingSaturated(maxTimeoutNanoseconds), of: serial)
        }
        if wasIdle { engine.connectionDidBecomeBusy() }
        engine.onBatch(batch)
    }

    func connection(_ connection: Connection, didReceive event: ClientSession.Event) {
        switch event {
        case .closeWait:
            isCloseWaitReceived = true
            drainIfDone()
        case .answerRefused(let answer):
            engine.logger.debug("nsqd at \(address): \(answer)")
            // The message was redelivered before it was finished, so processing is too slow.
            if answer.hasPrefix(ProtocolError.Code.finishFailed.rawValue) {
                if let number { engine.recordOutcome(isSuccess: false, connection: number) }
            }
        default: connection.fail("sent an unexpected response: \(event)")
        }
    }

    func connectionDidEnd(_ connection: Connection, _ error: NSQError?) {
        let number = number
        self.number = nil
        self.connection = nil
        tracker = InFlightTracker()
        if !engine.isStopping, !isLeaving {
            let delay = reconnects.scheduleAttempt { [weak self] in self?.connect() }
            engine.logger.warning("\(error ?? .stopped); next attempt in \(delay)")
        }
        engine.connectionDidEnd(self, number: number, error)
        if isLeaving { engine.connectionDidLeave(self) }
    }
}
