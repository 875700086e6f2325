import HTTP
import TallyBasics
import UVLoop

/// The event stream of a page. It encodes each event once for all browsers, and keeps no queue for
/// a browser that does not read.
///
/// When such a browser reads again, it continues from the ``EventLog``. If the log no longer has
/// its next event, the browser receives the whole state.
final class EventStream {
    /// Limits of a stream.
    struct Limits {
        /// The maximum number of connected browsers.
        var subscribers: Int
        /// The maximum size of the event log, in bytes.
        var logBytes: Int
        /// The minimum time without an event after which an `alive` event is sent. The maximum is
        /// twice as long, because a timer checks once per interval.
        var keepAlive: Duration
    }

    /// The head of the response with the stream.
    static let head = HTTPResponse.page(
        200, "text/event-stream", [],
        [
            ("Cache-Control", "no-store"),
            // Without this header, nginx and other proxies would buffer events.
            ("X-Accel-Buffering", "no"),
        ])
    static let refusal = HTTPResponse.text(
        503, "too many browsers are connected", [("Retry-After", "5")])

    private let loop: Loop
    private let runID: String
    private let limits: Limits
    /// Returns the JSON of the whole state.
    private let encodeState: () -> [UInt8]
    /// Runs with the number of browsers after one was added or removed.
    private let subscribersChanged: (Int) -> Void
    private let keepAliveTimer: Timer
    private var log: EventLog
    private var lastEvents = MonotonicInstant.start
    private var subscribers: [ObjectIdentifier: EventSubscriber] = [:]
    /// The last encoded state. Browsers that connect within ``maxStateAge`` share it.
    private var state: (piece: HTTPChunk, cursor: Int, instant: MonotonicInstant)?
    private var isEnded = false

    private let keepAliveEvent = HTTPChunk("event: alive\ndata: {}\n\n".utf8)
    private static let maxStateAge = Duration.milliseconds(250)

    init(
        runID: String, _ limits: Limits, on loop: Loop, encodeState: @escaping () -> [UInt8],
        subscribersChanged: @escaping (Int) -> Void = { _ in }
    ) {
        self.loop = loop
        self.runID = runID
        self.limits = limits
        self.encodeState = encodeState
        self.subscribersChanged = subscribersChanged
        log = EventLog(maxBytes: limits.logBytes)
        keepAliveTimer = Timer(on: loop)
    }

    /// Starts to send `alive` events.
    func start() {
        keepAliveTimer.start(after: limits.keepAlive, repeating: limits.keepAlive) { [weak self] in
            self?.sendKeepAlives()
        }
    }

    /// Accepts no further browsers. The HTTP server ends the responses.
    func stop() {
        isEnded = true
        keepAliveTimer.close()
    }

    // MARK: Events

    /// Returns an empty batch that follows the latest event.
    func makeBatch() -> EventBatch { EventBatch(after: log.last, runID: runID) }

    /// Appends a batch of ``makeBatch()`` to the log.
    func append(_ events: EventBatch) { log.append(events) }

    /// Sends the appended events to all browsers.
    func sendAppended() {
        lastEvents = loop.instant
        for subscriber in subscribers.values { subscriber.resume() }
    }

    /// Removes all events from the log. The owner calls this method if an event was not recorded,
    /// because every browser then needs the whole state.
    func invalidate() { log.invalidate() }

    /// Discards the last encoded state, so that the next browser that connects receives a new one.
    func discardState() { state = nil }

    /// Sends a new state to all browsers.
    func sendState() {
        discardState()
        invalidate()
        for subscriber in subscribers.values { subscriber.resume() }
    }

    private func sendKeepAlives() {
        guard loop.instant - lastEvents >= limits.keepAlive else { return }
        for subscriber in subscribers.values {
            subscriber.needsKeepAlive = true
            subscriber.resume()
        }
    }

    // MARK: Subscribers

    var acceptsSubscribers: Bool { !isEnded && subscribers.count < limits.subscribers }

    var subscriberCount: Int { subscribers.count }

    /// Returns the stream as the body of the response; a refusal if too many browsers are
    /// connected.
    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard acceptsSubscribers else { return .refuse(Self.refusal) }
        guard request.method == "GET" else { return .refuse(Self.head) }
        return .stream(Self.head, addSubscriber(after: request.headers["Last-Event-ID"]))
    }

    /// - Parameter lastEventID: the value of the browser's `Last-Event-ID` header; `nil` in its first
    ///   request.
    func addSubscriber(after lastEventID: String?) -> EventSubscriber {
        let id = lastEventID.flatMap(EventID.init)
        let cursor = id.flatMap { $0.runID == runID ? $0.number : nil }
        let subscriber = EventSubscriber(of: self, at: cursor)
        subscribers[ObjectIdentifier(subscriber)] = subscriber
        subscribersChanged(subscribers.count)
        return subscriber
    }

    func remove(_ subscriber: EventSubscriber) {
        subscribers[ObjectIdentifier(subscriber)] = nil
        subscribersChanged(subscribers.count)
    }

    /// Returns the next bytes for a subscriber; `nil` if the subscriber has all events.
    func nextPiece(for subscriber: EventSubscriber) -> HTTPChunk? {
        guard let cursor = subscriber.cursor, log.canContinue(after: cursor) else {
            let state = currentState()
            subscriber.cursor = state.cursor
            return state.piece
        }
        if let next = log.next(after: cursor) {
            subscriber.cursor = next.last
            return next.piece
        }
        guard subscriber.needsKeepAlive else { return nil }
        subscriber.needsKeepAlive = false
        return keepAliveEvent
    }

    /// Returns a recently encoded state if the log has all later events, and otherwise a new state.
    private func currentState() -> (piece: HTTPChunk, cursor: Int) {
        let now = loop.instant
        if let state, log.canContinue(after: state.cursor), now - state.instant < Self.maxStateAge {
            return (state.piece, state.cursor)
        }
        let id = EventID(runID: runID, number: log.last)
        let event = EventBatch.encode("state", id, encodeState())
        let piece = HTTPChunk(Array("retry: 2000\n".utf8) + event)
        state = (piece, log.last, now)
        return (piece, log.last)
    }
}
