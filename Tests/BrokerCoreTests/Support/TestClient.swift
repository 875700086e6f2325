import BrokerCore
import NSQWire
import Testing

/// One client: sends commands, and collects the frames that it receives.
///
/// Like the TCP layer, it keeps the bytes that the broker did not consume, and passes them to the
/// broker again, together with later bytes, once there are enough.
final class TestClient {
    let session: Session
    private unowned let broker: TestBroker
    private var unsent: [UInt8] = []
    private var decoder = FrameDecoder()

    /// The frames that the test has not fetched yet.
    private(set) var received: [Received] = []
    /// `true` if the broker has closed the connection.
    private(set) var isDisconnected = false
    /// A client that does not read leaves all bytes in its outbox.
    var isReading = true
    /// Called with every frame.
    var onFrame: (ReceivedFrame) -> Void = { _ in }

    init(_ session: Session, of broker: TestBroker) {
        self.session = session
        self.broker = broker
    }

    // MARK: Sending

    func send(_ bytes: [UInt8]) {
        guard !isDisconnected else { return }
        broker.iteration {
            unsent += bytes
            // As in the TCP layer, postponed commands come first, in the next iteration.
            guard unsent.count >= session.neededBytes, !session.hasPostponedInput else { return }
            continueInput()
        }
    }

    /// Passes the unsent bytes to the broker.
    func continueInput() {
        broker.iteration {
            // The buffer has no spare bytes, so that the address sanitizer detects a read beyond it.
            let exact = UnsafeMutableRawBufferPointer.allocate(
                byteCount: unsent.count, alignment: 1)
            defer { exact.deallocate() }
            exact.copyBytes(from: unsent)
            let taken = broker.core.receive(Bytes(exact), from: session, at: broker.now)
            unsent.removeFirst(taken)
            requestAuthorization()
        }
    }

    private func requestAuthorization() {
        guard let request = session.authorizationRequest, let server = broker.authorizationServer
        else { return }
        authorize(server(request))
    }

    /// Passes the authorization server's response to the broker, and then the client's unsent bytes.
    func authorize(_ answer: Authorization?) {
        broker.iteration {
            broker.core.completeAuthorization(answer, for: session, at: broker.now)
            send([UInt8]())
        }
    }

    func send(text: String) { send(Array(text.utf8)) }

    func send(_ commands: Command...) { send(commands) }

    func send(_ commands: [Command]) {
        var bytes: [UInt8] = []
        for command in commands { command.append(to: &bytes) }
        send(bytes)
    }

    func send(_ command: Command, body: [UInt8]) {
        var bytes: [UInt8] = []
        command.append(body: body, to: &bytes)
        send(bytes)
    }

    func identify(_ request: Identify) { send(.identify, body: request.json) }

    func publish(_ bodies: String..., to topic: TopicName = .plays) {
        broker.iteration {
            for body in bodies { send(.publish(topic), body: Array(body.utf8)) }
        }
    }

    func publish(_ body: String, to topic: TopicName = .plays, after delay: Duration) {
        let milliseconds = Int(delay / .milliseconds(1))
        send(.deferredPublish(topic, afterMilliseconds: milliseconds), body: Array(body.utf8))
    }

    func multiPublish(_ bodies: [[UInt8]], to topic: TopicName = .plays) {
        var bytes: [UInt8] = []
        Command.appendMultiPublish(topic, bodies, to: &bytes)
        send(bytes)
    }

    func multiPublish(_ bodies: [String], to topic: TopicName = .plays) {
        multiPublish(bodies.map { Array($0.utf8) }, to: topic)
    }

    func finish(_ messages: [TestMessage]) { send(messages.map { .finish($0.id) }) }
    func finish(_ messages: TestMessage...) { finish(messages) }
    func touch(_ message: TestMessage) { send(.touch(message.id)) }

    func requeue(_ messages: TestMessage..., after delay: Duration = .zero) {
        let milliseconds = Int(delay / .milliseconds(1))
        send(messages.map { .requeue($0.id, afterMilliseconds: milliseconds) })
    }

    /// Ends the client's input; the client reads until the broker closes the connection.
    func end() {
        broker.iteration {
            unsent.withUnsafeBytes { broker.core.endInput($0, from: session, at: broker.now) }
        }
        if !isDisconnected { leave() }
    }

    /// Disconnects the client.
    func leave() {
        broker.iteration {
            isDisconnected = true
            broker.core.disconnect(session, at: broker.now)
            broker.left(self)
        }
    }

    // MARK: Receiving

    /// Reads all bytes of the outbox, a few pieces at a time. A read can end within a piece.
    func flush() {
        guard isReading else { return }
        while !session.outbox.isEmpty { receive(atMost: 10_000) }
        broker.core.resumeDelivery(to: session)
        if session.isEnded, !isDisconnected { leave() }
    }

    private func receive(atMost limit: Int) {
        let bytes = withUnsafeTemporaryAllocation(of: Bytes.self, capacity: 3) { slices in
            let count = session.outbox.fill(slices) { Bytes(start: $0, count: $1) }
            return slices[..<count].flatMap { Array($0) }.prefix(limit)
        }
        session.outbox.consume(bytes.count)
        do throws(FrameError) {
            try decoder.feed(bytes) { frame in
                received.append(Received(frame))
                onFrame(frame)
            }
        } catch {
            Issue.record("the broker sent an invalid frame: \(error)")
        }
    }

    /// Resumes reading.
    func readAgain() {
        isReading = true
        broker.iteration { flush() }
    }

    /// The frames since the last call.
    func take() -> [Received] {
        defer { received = [] }
        return received
    }

    /// The messages since the last call. Responses stay for ``take()``.
    func takeMessages() -> [TestMessage] {
        defer { received.removeAll { $0.message != nil } }
        return received.compactMap(\.message)
    }

    func takeBodies() -> [String] { takeMessages().map(\.text) }

    func forgetAnswers() { received.removeAll { $0.message == nil } }
}

/// A decoded frame.
enum Received: Equatable, CustomStringConvertible {
    case response(String)
    case error(String)
    case message(TestMessage)

    static let ok = Received.response("OK")
    static let heartbeat = Received.response("_heartbeat_")

    init(_ frame: ReceivedFrame) {
        switch frame.kind {
        case .response: self = .response(String(decoding: frame.data, as: UTF8.self))
        case .error: self = .error(String(decoding: frame.data, as: UTF8.self))
        case .message: self = .message(TestMessage(ReceivedMessage(data: frame.data)!))
        }
    }

    var message: TestMessage? {
        if case .message(let message) = self { message } else { nil }
    }

    var description: String {
        switch self {
        case .response(let text): text
        case .error(let text): text
        case .message(let message): "message \(message.id) \(message.text.prefix(40))"
        }
    }
}

struct TestMessage: Equatable {
    var id: MessageID
    var timestampNanoseconds: Int64
    var attempts: UInt16
    var body: [UInt8]

    init(_ message: ReceivedMessage) {
        id = message.id
        timestampNanoseconds = message.timestampNanoseconds
        attempts = message.attempts
        body = Array(message.body)
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The same message with an attempt count of 1.
    var atFirst: TestMessage {
        var first = self
        first.attempts = 1
        return first
    }
}
