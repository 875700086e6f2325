import NSQWire
import TallyBasics

/// The identifier of a connection, unique for the lifetime of the broker.
package typealias SessionID = UInt64

/// The state of one connection. The session determines which commands are allowed; the broker
/// executes the commands.
package final class Session: PendingItem {
    /// The connection states of the NSQ protocol.
    enum Phase {
        /// The client has not sent the protocol magic yet.
        case awaitingMagic
        case initial
        case subscribed
        /// The client has sent CLS. The client can finish the messages in flight but receives no
        /// new messages.
        case closing
        /// The broker reads nothing more from the client, and closes the connection after the
        /// outbox was sent.
        case ended
    }

    package let id: SessionID
    /// The client's address with its port.
    package let address: String
    let host: String
    let connectedAt: Timestamp
    var pendingMark = PendingMark()

    private(set) var phase = Phase.awaitingMagic
    private(set) var settings: NegotiatedSettings
    private(set) var subscription = Subscription()
    private(set) var publishCounts = PublishCounts()
    private var negotiated: NegotiatedUpgrade
    private var authorizing = SessionAuthorization()
    private var heartbeats: HeartbeatMonitor

    /// The bytes to send to the client.
    package var outbox: Outbox
    private var responses = PendingResponses()
    private var responseMemory: AccountedMemory
    /// The number of bytes that the TCP layer has taken from the outbox but the kernel has not
    /// accepted yet.
    package private(set) var unsentBytes = 0

    /// The number of bytes that the next command needs, counted from the first byte not consumed.
    /// ``Broker/receive(_:from:at:)`` consumes no bytes before all of them have arrived.
    package private(set) var neededBytes = 0
    /// `true` if the iteration's budget has postponed complete commands to the next iteration.
    package private(set) var hasPostponedInput = false
    private(set) var commandQuota = CommandQuota(iteration: -1, steps: 0)
    /// The progress of an incomplete MPUB whose leading messages have been checked.
    private(set) var checkedBatch: CheckedBatch?
    /// `true` if the client can no longer receive data. The client's last commands may still
    /// arrive.
    private var isUnreachable = false

    init(
        id: SessionID, address: String, host: String, options: BrokerOptions,
        _ account: MemoryAccount, now: Timestamp
    ) {
        outbox = Outbox(account)
        responseMemory = AccountedMemory(account, .responses)
        self.id = id
        self.address = address
        self.host = host
        connectedAt = now
        settings = NegotiatedSettings(host: host, options)
        negotiated = NegotiatedUpgrade(requiresTLS: options.tlsRequired)
        heartbeats = HeartbeatMonitor(connectedAt: now.monotonic)
    }

    // MARK: Phase

    /// `true` if the broker reads nothing more from the client.
    package var isEnded: Bool { phase == .ended }

    /// `true` while the TCP layer installs a transport layer or waits for an authorization. The
    /// broker then reads nothing.
    var isWaiting: Bool { pendingUpgrade != nil || authorizationRequest != nil }

    func didReceiveMagic() { phase = .initial }

    func beginClosing() {
        subscription.setReady(0)
        phase = .closing
    }

    func end() {
        phase = .ended
        hasPostponedInput = false
    }

    /// Marks the client as unreachable, so that no messages are delivered to it.
    package func markUnreachable() { isUnreachable = true }

    /// Checks that the connection's state allows a command.
    ///
    /// - Throws: `E_INVALID` if the state does not allow the command.
    func checkIsAllowed(_ line: CommandLine) throws(ProtocolError) {
        if negotiated.requiresTLS, line.verb != .identify {
            throw ProtocolError(
                .invalid,
                Array("cannot ".utf8) + line.name + " in current state (TLS required)".utf8)
        }
        if let verb = line.verb { try checkIsAllowed(verb) }
    }

    private func checkIsAllowed(_ verb: Verb) throws(ProtocolError) {
        let isAllowed =
            switch verb {
            case .identify, .authenticate, .subscribe: phase == .initial
            case .ready, .finish, .requeue, .touch: phase == .subscribed || phase == .closing
            case .close: phase == .subscribed
            case .nop, .publish, .multiPublish, .deferredPublish: true
            }
        guard isAllowed else {
            throw ProtocolError(.invalid, "cannot \(verb.rawValue) in current state")
        }
        if verb == .subscribe, settings.heartbeatInterval == 0 {
            throw ProtocolError(.invalid, "cannot \(verb.rawValue) with heartbeats disabled")
        }
    }

    // MARK: Input

    /// Resets ``neededBytes`` before new input is parsed.
    func beginInput() {
        neededBytes = 0
        hasPostponedInput = false
    }

    /// Marks the remaining input as postponed to the next iteration.
    func postponeInput() { hasPostponedInput = true }

    func beginCommandQuota(_ quota: CommandQuota) { commandQuota = quota }

    func setCommandSteps(_ steps: Int) { commandQuota.steps = steps }

    /// Sets the number of bytes that the incomplete command needs, counted from the command's first
    /// byte.
    func awaitInput(_ byteCount: Int) { neededBytes = byteCount }

    /// Stores the progress of an incomplete MPUB.
    func pauseBatch(_ batch: CheckedBatch) { checkedBatch = batch }

    func didExecuteCommand() { checkedBatch = nil }

    // MARK: Settings and upgrade

    /// Applies the settings that the client requests.
    ///
    /// - Throws: `E_BAD_BODY` at the first value that is out of range.
    func negotiate(_ request: Identify, _ options: BrokerOptions) throws(ProtocolError) {
        try settings.apply(request, options)
    }

    /// The negotiated layers that the TCP layer has not installed yet. Until the installation, the
    /// broker reads nothing from the client and sends nothing.
    package var pendingUpgrade: Upgrade? { negotiated.pendingUpgrade }
    var tls: TLSSummary? { negotiated.tls }
    package var compression: Upgrade.Compression? { negotiated.compression }

    func beginUpgrade(_ upgrade: Upgrade) { negotiated.begin(upgrade) }

    func didInstallTLS(_ tls: TLSSummary) { negotiated.didInstallTLS(tls) }

    func didInstallCompression() { negotiated.didInstallCompression() }

    // MARK: Authorization

    /// The pending request to the authorization server. The TCP layer sends the request and calls
    /// ``Broker/completeAuthorization(_:for:at:)`` with the result. Until that call, the broker
    /// reads nothing from the client.
    package var authorizationRequest: AuthorizationRequest? { authorizing.request }
    var authorization: Authorization? { authorizing.granted }

    /// Requests an authorization.
    ///
    /// - Parameter secret: the secret of the client's AUTH command; `nil` repeats the secret of the
    ///   last request, to renew an expired authorization.
    func requestAuthorization(secret: String? = nil) {
        authorizing.beginRequest(secret: secret, host: host, tls: tls)
    }

    /// Ends the pending request.
    ///
    /// - Parameters:
    ///   - authorization: the granted authorization; `nil` if the request failed.
    ///   - now: the time on the monotonic clock, in nanoseconds.
    func completeAuthorization(_ authorization: Authorization?, at now: Int64) {
        authorizing.completeRequest(authorization, at: now)
    }

    /// Returns `true` if the client has an authorization that has not expired at `now`.
    func isAuthorizationValid(at now: Int64) -> Bool { authorizing.isValid(at: now) }

    /// Returns `true` if the authorization allows the client to publish to the topic (without
    /// `channel`), or to subscribe to the channel.
    func isAuthorized(_ topic: TopicName, _ channel: ChannelName?) -> Bool {
        authorizing.allows(topic, channel)
    }

    // MARK: Responses

    /// `true` if responses are pending, so that the connection must not be closed yet.
    package var hasPendingResponses: Bool { !responses.isEmpty }

    /// `true` if the session has publishes since the last flush of the message log.
    var hasUnflushedPublishes: Bool { responses.containsUnflushed }

    /// Sends a frame after all earlier responses, including pending responses.
    func send(_ frame: [UInt8]) {
        responses.append(frame, to: &outbox)
        responseMemory.set(responses.byteCount)
    }

    func sendOK() {
        responses.appendOK(to: &outbox)
        responseMemory.set(responses.byteCount)
    }

    /// Sends the response to a publish after the next flush of the message log.
    func sendAfterFlush(_ verb: Verb) { responses.appendPublish(verb) }

    /// Sets the number of the flush that has written the session's latest publishes.
    func didFlush(_ number: UInt64) {
        responses.didFlush(number)
        responseMemory.set(responses.byteCount)
    }

    /// Sends the responses to all publishes up to a flush.
    ///
    /// - Parameters:
    ///   - number: the number of the last completed flush.
    ///   - failure: the error of the flushes; `nil` if they succeeded.
    /// - Returns: the error that was sent to the client; `nil` if there was no failure.
    func sendResponses(upTo number: UInt64, _ failure: MessageLogError?) -> ProtocolError? {
        let error = responses.release(upTo: number, failure, to: &outbox)
        responseMemory.set(responses.byteCount)
        if error != nil { end() }
        return error
    }

    /// Refuses the publishes of a failed flush.
    ///
    /// - Returns: the error that was sent to the client; `nil` if the session had no such publish.
    func refuseFailedPublishes(_ failure: MessageLogError) -> ProtocolError? {
        let error = responses.refuseNext(failure, to: &outbox)
        responseMemory.set(responses.byteCount)
        if error != nil { end() }
        return error
    }

    // MARK: Publishing

    @inline(__always)
    func didPublish(_ count: Int, to topic: Topic) { publishCounts.add(count, to: topic) }

    func releaseTopic() { publishCounts.releaseTopic() }

    // MARK: Consuming

    func subscribe(to channel: Channel, slot: Int32) {
        subscription.begin(channel, slot: slot)
        phase = .subscribed
    }

    func unsubscribe() { subscription.end() }

    func setReady(_ count: Int) { subscription.setReady(count) }

    @inline(__always)
    func didDeliver(_ count: Int) { subscription.didDeliver(count) }

    @inline(__always)
    func didFinish(_ count: Int) { subscription.didFinish(count) }

    func didRequeue() { subscription.didRequeue() }

    /// Counts a message that is no longer in flight, because it timed out or the consumer
    /// disconnected.
    func didRequeueUnanswered() { subscription.didRequeueUnanswered() }

    /// Resets the number of messages in flight after all messages of the channel were discarded.
    func didEmptyChannel() { subscription.didEmpty() }

    /// The number of bytes that were not sent to the client yet.
    var backlogBytes: Int { outbox.byteCount + unsentBytes }

    /// Returns `true` if too many bytes are unsent, because the client does not read its responses or
    /// the responses wait for the message log. The broker then stops reading from the client.
    ///
    /// - Parameter limit: the number of unsent bytes at which reading stops.
    package func isCongested(limit: Int) -> Bool { backlogBytes + responses.byteCount >= limit }

    /// Returns the number of messages that can be delivered to the client now. If the number is 0
    /// because of unsent bytes, the subscription is marked as held back.
    ///
    /// - Parameter unsentLimit: the number of unsent bytes at which delivery stops.
    func deliveryCapacity(unsentLimit: Int) -> Int {
        guard phase == .subscribed, !isUnreachable,
            subscription.readyCount > subscription.inFlightCount
        else { return 0 }
        subscription.setHeldBack(backlogBytes >= unsentLimit)
        return subscription.isHeldBack ? 0 : subscription.readyCount - subscription.inFlightCount
    }

    /// Stops deliveries to the client until its outbox is empty.
    func holdBack() { subscription.setHeldBack(true) }

    /// Ends the hold-back of the subscription.
    ///
    /// - Returns: `true` if the subscription was held back.
    func endHoldBack() -> Bool {
        defer { subscription.setHeldBack(false) }
        return subscription.isHeldBack
    }

    /// Updates the number of unsent bytes that the TCP layer holds.
    ///
    /// - Parameters:
    ///   - bytes: the number of unsent bytes; 0 if all were sent.
    ///   - now: the time on the monotonic clock, in nanoseconds.
    package func updateUnsentBytes(_ bytes: Int, at now: Int64) {
        unsentBytes = bytes
        heartbeats.didBlock(since: bytes == 0 ? nil : now)
    }

    // MARK: Heartbeats

    @inline(__always)
    func didReceiveData(at now: Int64) { heartbeats.didReceive(at: now) }

    func restartHeartbeats(at now: Int64) {
        heartbeats.restart(interval: settings.heartbeatInterval, at: now)
    }

    func isHeartbeatDue(at now: Int64) -> Bool {
        phase != .awaitingMagic && heartbeats.isHeartbeatDue(at: now)
    }

    /// The time of the next heartbeat or timeout check on the monotonic clock, in nanoseconds;
    /// `nil` without heartbeats.
    var nextHeartbeatCheck: Int64? {
        if phase == .awaitingMagic { return greetingDeadline }
        guard settings.heartbeatInterval > 0, phase != .ended, pendingUpgrade == nil else {
            return nil
        }
        return heartbeats.nextCheck(
            interval: settings.heartbeatInterval, expectsData: expectsData)
    }

    /// `false` while a response waits for the authorization server or the message log. During this
    /// time, the client receives no heartbeat, and the broker may read nothing from it.
    private var expectsData: Bool { authorizationRequest == nil && responses.isEmpty }

    /// The time by which the client must have sent the protocol magic.
    private var greetingDeadline: Int64 {
        connectedAt.monotonic + Limits.greetingTimeout.nanoseconds
    }

    /// Returns the reason why the connection must be closed; `nil` if it stays open.
    func closeReason(at now: Int64) -> CloseReason? {
        if phase == .awaitingMagic { return now >= greetingDeadline ? .noMagic : nil }
        return heartbeatCloseReason(at: now)
    }

    private func heartbeatCloseReason(at now: Int64) -> CloseReason? {
        heartbeats.closeReason(
            interval: settings.heartbeatInterval, expectsData: expectsData, at: now)
    }

    /// Returns `true` if the caller must schedule a timer for `deadline`.
    func insertTimer(_ deadline: Int64) -> Bool { heartbeats.insertTimer(deadline) }

    func removeFiredTimer() { heartbeats.removeFiredTimer() }
}

/// The steps that a session's commands may still take in one iteration.
struct CommandQuota {
    var iteration: Int
    var steps: Int
}

/// The progress of checking the sizes in an MPUB. The broker stores the progress, so that each
/// arriving part of a large body is checked only once.
struct CheckedBatch {
    /// The byte offset of the next unchecked message, counted from the start of the command.
    var offset: Int
    /// The index of the next unchecked message.
    var index: Int
}
