import NSQWire

/// One connection's side of the protocol: greeted → identified → (subscribed →) established →
/// closing → closed, and its heartbeats. Message frames pass it by, for they change nothing here.
///
/// No socket and no clock: it writes what to send into `out`, and the time comes as an argument.
package struct ClientSession: Sendable {
    package enum Role: Equatable, Sendable {
        case producer
        case consumer(TopicName, ChannelName)
    }

    package enum Phase: Equatable, Sendable {
        case unopened, identifying, subscribing, established, closing, closed
    }

    /// What nsqd said, to whom it may concern.
    package enum Event: Equatable, Sendable {
        /// Nothing to do: a heartbeat (answered), or a step of the beginning.
        case none
        case established
        /// `OK` to the oldest publish that has no answer.
        case publishAccepted
        /// An error to the oldest publish that has no answer; nsqd closes the connection.
        case publishRefused(String)
        /// A FIN, REQ or TOUCH came too late; the connection goes on.
        case answerRefused(String)
        /// No more messages will come.
        case closeWait
    }

    /// What nsqd allows, from its answer to IDENTIFY.
    package struct Terms: Equatable, Sendable {
        package var maxReadyCount: Int
        package var messageTimeout: Duration

        package init(
            maxReadyCount: Int = Limits.readyCount,
            messageTimeout: Duration = Limits.messageTimeout
        ) {
            self.maxReadyCount = maxReadyCount
            self.messageTimeout = messageTimeout
        }
    }

    /// Why the connection is of no further use.
    package enum Failure: Error, Equatable, Sendable {
        case refused(String)
        case unexpected(String)
        case needsAuthentication
    }

    package private(set) var phase = Phase.unopened
    package private(set) var terms = Terms()
    private let role: Role
    private let heartbeatInterval: Duration
    private var heardAtNanoseconds: Int64 = 0

    package init(_ role: Role, heartbeatInterval: Duration) {
        self.role = role
        self.heartbeatInterval = heartbeatInterval
    }

    /// Says who we are, right after the connection has come about.
    package mutating func open(
        _ identify: Identify, into out: inout [UInt8], atNanoseconds now: Int64
    ) {
        precondition(phase == .unopened, "a session opens once")
        phase = .identifying
        heardAtNanoseconds = now
        out.append(contentsOf: Command.magic.bytes)
        Command.identify.append(body: identify.json, to: &out)
    }

    /// Bytes came: nsqd is alive.
    package mutating func heard(atNanoseconds now: Int64) {
        heardAtNanoseconds = now
    }

    /// True when two heartbeats in a row did not come.
    package func isSilent(atNanoseconds now: Int64) -> Bool {
        .nanoseconds(now - heardAtNanoseconds) > heartbeatInterval * 2
    }

    /// Takes a frame that is no message.
    package mutating func receive(
        _ kind: Frame.Kind, _ data: Bytes, into out: inout [UInt8]
    ) throws(Failure) -> Event {
        if kind == .error { return try receiveError(String(decoding: data, as: UTF8.self)) }
        if data.equals(Frame.heartbeat) {
            Command.nop.append(to: &out)
            return .none
        }
        switch phase {
        case .identifying: return try receiveIdentifyAnswer(data, into: &out)
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

    /// `CLS`: asks for no more messages. Those in flight may still be answered.
    package mutating func close(into out: inout [UInt8]) {
        guard phase == .established else { return }
        phase = .closing
        Command.close.append(to: &out)
    }

    private mutating func receiveIdentifyAnswer(
        _ data: Bytes, into out: inout [UInt8]
    ) throws(Failure) -> Event {
        if let answer = IdentifyAnswer(parsing: data) {
            guard !answer.authRequired else { throw .needsAuthentication }
            // An nsqd that leaves a field out means its default.
            if answer.maxReadyCount > 0 { terms.maxReadyCount = answer.maxReadyCount }
            if answer.messageTimeout > 0 {
                terms.messageTimeout = .milliseconds(answer.messageTimeout)
            }
        } else if !data.equals(Frame.ok) {
            // An nsqd too old to negotiate says OK and leaves us with the defaults.
            throw .unexpected(String(decoding: data.prefix(64), as: UTF8.self))
        }
        guard case .consumer(let topic, let channel) = role else {
            phase = .established
            return .established
        }
        phase = .subscribing
        Command.subscribe(topic, channel).append(to: &out)
        return .none
    }

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
