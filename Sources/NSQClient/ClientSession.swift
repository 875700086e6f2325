import NSQWire

/// The state machine of the NSQ protocol for one client connection: unopened → identifying →
/// (upgrading →) (authenticating →) (subscribing →) established → closing → closed. It also answers
/// heartbeats. Message frames do not change the state.
///
/// The session does no I/O and reads no clock: methods append output bytes to `out`, and the time
/// is an argument.
package struct ClientSession: Sendable {
    /// The purpose of a connection.
    package enum Role: Equatable, Sendable {
        /// The connection publishes messages.
        case producer
        /// The connection consumes the messages of a channel.
        case consumer(TopicName, ChannelName)
    }

    /// The state of the protocol; a producer's session skips `subscribing`.
    package enum Phase: Equatable, Sendable {
        /// The states in their order: see ``ClientSession``.
        case unopened, identifying, upgrading, authenticating, subscribing, established, closing
        /// The last state.
        case closed
    }

    /// A transport layer that IDENTIFY has negotiated.
    package enum Layer: Equatable, Sendable {
        /// TLS, the lowest layer.
        case tls
        /// Compression, inside TLS if both are negotiated.
        case snappy, deflate(level: Int)
    }

    /// The meaning of a received frame for the owner of the session.
    package enum Event: Equatable, Sendable {
        /// The owner has nothing to do: the frame was a heartbeat, which the session answers, or a
        /// step of the handshake.
        case none
        /// The owner must install the layer, for all following bytes in both directions. nsqd then
        /// sends `OK` through the layer.
        case install(Layer)
        /// The handshake is complete, and the connection can be used.
        case established
        /// nsqd has accepted (`OK`) the oldest publish that waited for a response.
        case publishAccepted
        /// nsqd has refused the oldest publish that waited for a response with this error, and closes
        /// the connection.
        case publishRefused(String)
        /// nsqd has rejected a late FIN, REQ or TOUCH with this error; the connection stays open.
        case answerRefused(String)
        /// nsqd has confirmed `CLS` with `CLOSE_WAIT` and sends no more messages.
        case closeWait
    }

    /// The limits in nsqd's response to IDENTIFY.
    package struct Limits: Equatable, Sendable {
        /// The maximum RDY count.
        package var maxReadyCount: Int
        /// The time after which nsqd requeues a message in flight.
        package var messageTimeout: Duration
        /// The maximum time for which a message can stay in flight when its timeout is restarted.
        package var maxMessageTimeout: Duration

        /// Creates limits; the default values are those of nsqd.
        package init(
            maxReadyCount: Int = NSQWire.Limits.readyCount,
            messageTimeout: Duration = NSQWire.Limits.messageTimeout,
            maxMessageTimeout: Duration = NSQWire.Limits.longestMessageTimeout
        ) {
            self.maxReadyCount = maxReadyCount
            self.messageTimeout = messageTimeout
            self.maxMessageTimeout = maxMessageTimeout
        }
    }

    /// The reason why the connection must be closed.
    package enum Failure: Error, Equatable, Sendable {
        /// nsqd has sent this error, such as `E_BAD_TOPIC`.
        case refused(String)
        /// nsqd has sent this response although no command waits for it.
        case unexpected(String)
        /// nsqd requires AUTH, and the client has no secret.
        case needsAuthentication
        /// The client requires TLS, which nsqd does not offer.
        case tlsUnavailable
    }

    /// The current phase.
    package private(set) var phase = Phase.unopened
    /// The limits of the connection; nsqd's defaults until nsqd responds to IDENTIFY.
    package private(set) var limits = Limits()
    private let role: Role
    private let heartbeatInterval: Duration
    private let authSecret: String?
    /// The settings that IDENTIFY has requested.
    private var requested = Identify()
    /// nsqd's response to IDENTIFY; nil before the response, and for an nsqd that does not
    /// negotiate.
    private var response: IdentifyResponse?
    /// The negotiated layers that are not installed yet, the lowest first.
    private var pendingLayers: [Layer] = []
    private var lastInputNanoseconds: Int64 = 0

    /// Creates a session that is not opened.
    ///
    /// - Parameter authSecret: the secret for an nsqd that requires AUTH.
    package init(_ role: Role, heartbeatInterval: Duration, authSecret: String? = nil) {
        self.role = role
        self.authSecret = authSecret
        self.heartbeatInterval = heartbeatInterval
    }

    /// Appends the protocol version and IDENTIFY to `out`. Call this method after the TCP
    /// connection is established.
    ///
    /// - Parameters:
    ///   - identify: the requested settings.
    ///   - out: receives the bytes to send.
    ///   - now: the monotonic time in nanoseconds.
    package mutating func open(
        _ identify: Identify, into out: inout [UInt8], atNanoseconds now: Int64
    ) {
        precondition(phase == .unopened, "a session opens once")
        phase = .identifying
        requested = identify
        lastInputNanoseconds = now
        out.append(contentsOf: Command.magic.bytes)
        Command.identify.append(body: identify.json, to: &out)
    }

    /// Records that bytes were received.
    package mutating func recordInput(atNanoseconds now: Int64) {
        lastInputNanoseconds = now
    }

    /// Returns `true` if no bytes were received for more than two heartbeat intervals.
    package func isSilent(atNanoseconds now: Int64) -> Bool {
        .nanoseconds(now - lastInputNanoseconds) > heartbeatInterval * 2
    }

    /// Handles a response or error frame, and appends the session's reply, if any, to `out`.
    ///
    /// - Parameters:
    ///   - kind: the frame type, response or error.
    ///   - data: the data of the frame.
    ///   - out: receives the bytes to send.
    /// - Returns: the meaning of the frame for the owner.
    /// - Throws: ``Failure`` if the connection must be closed.
    package mutating func receive(
        _ kind: Frame.Kind, _ data: Bytes, into out: inout [UInt8]
    ) throws(Failure) -> Event {
        if kind == .error { return try receiveError(String(decoding: data, as: UTF8.self)) }
        if data.equals(Frame.heartbeat) {
            Command.nop.append(to: &out)
            return .none
        }
        switch phase {
        case .identifying: return try receiveIdentifyResponse(data, into: &out)
        case .upgrading where data.equals(Frame.ok): return try continueHandshake(into: &out)
        case .authenticating: return finishHandshake(into: &out)
        case .subscribing where data.equals(Frame.ok):
            phase = .established
            return .established
        case .established where role == .producer && data.equals(Frame.ok):
            return .publishAccepted
        case .closing where data.equals(Frame.closeWait):
            phase = .closed
            return .closeWait
        default:
            throw .unexpected(String(decoding: data.prefix(64), as: UTF8.self))
        }
    }

    /// Appends `CLS` to `out`, so that nsqd sends no more messages. Messages in flight can still be
    /// finished.
    package mutating func close(into out: inout [UInt8]) {
        guard phase == .established else { return }
        phase = .closing
        Command.close.append(to: &out)
    }

    private mutating func receiveIdentifyResponse(
        _ data: Bytes, into out: inout [UInt8]
    ) throws(Failure) -> Event {
        if let response = IdentifyResponse(parsing: data) {
            self.response = response
            pendingLayers = response.layers(for: requested)
            // If the response lacks a field, nsqd's default applies.
            if response.maxReadyCount > 0 { limits.maxReadyCount = response.maxReadyCount }
            if response.messageTimeout > 0 {
                limits.messageTimeout = min(
                    .milliseconds(response.messageTimeout), NSQWire.Limits.longestDuration)
            }
            if response.maxMessageTimeout > 0 {
                limits.maxMessageTimeout = min(
                    .milliseconds(response.maxMessageTimeout), NSQWire.Limits.longestDuration)
            }
        } else if !data.equals(Frame.ok) {
            // An nsqd without feature negotiation responds OK, and the defaults apply.
            throw .unexpected(String(decoding: data.prefix(64), as: UTF8.self))
        }
        // An attacker could remove TLS from nsqd's response. Without this check, the client would then
        // continue without TLS.
        guard requested.tls != true || pendingLayers.first == .tls else { throw .tlsUnavailable }
        return try continueHandshake(into: &out)
    }

    /// Installs the next layer, or authenticates after the last one.
    private mutating func continueHandshake(
        into out: inout [UInt8]
    ) throws(Failure) -> Event {
        if !pendingLayers.isEmpty {
            phase = .upgrading
            return .install(pendingLayers.removeFirst())
        }
        guard response?.authRequired == true else { return finishHandshake(into: &out) }
        guard let authSecret else { throw .needsAuthentication }
        phase = .authenticating
        Command.authenticate.append(body: Array(authSecret.utf8), to: &out)
        return .none
    }

    private mutating func finishHandshake(into out: inout [UInt8]) -> Event {
        guard case .consumer(let topic, let channel) = role else {
            phase = .established
            return .established
        }
        phase = .subscribing
        Command.subscribe(topic, channel).append(to: &out)
        return .none
    }

    /// The settings that nsqd has refused or changed, each as a text for logs.
    package var changedSettings: [String] { response?.changes(from: requested) ?? [] }

    private func receiveError(_ text: String) throws(Failure) -> Event {
        let code = text.prefix { $0 != " " }
        switch ProtocolError.Code(rawValue: String(code)) {
        case .finishFailed, .requeueFailed, .touchFailed: return .answerRefused(text)
        default:
            guard role == .producer, phase == .established else { throw .refused(text) }
            return .publishRefused(text)
        }
    }
}

extension Bytes {
    fileprivate func equals(_ text: StaticString) -> Bool {
        elementsEqual(text.bytes)
    }
}
