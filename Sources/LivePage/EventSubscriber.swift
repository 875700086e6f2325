import HTTP

/// A browser that is connected to an ``EventStream``, and its cursor in the ``EventLog``.
final class EventSubscriber: HTTPResponseSource {
    private unowned let stream: EventStream
    private var body: HTTPResponseStream?
    /// The number of the last event that the server sent to this browser; `nil` if the browser
    /// needs the whole state first.
    var cursor: Int?
    /// `true` if no event was sent for the keep-alive interval, and an `alive` event must be sent.
    var needsKeepAlive = false

    init(of stream: EventStream, at cursor: Int?) {
        self.stream = stream
        self.cursor = cursor
    }

    /// Sends new events, unless a write is still in progress.
    func resume() { body?.resume() }

    func bodyDidStart(_ body: HTTPResponseStream) { self.body = body }

    func nextChunk() -> HTTPChunk? { stream.nextPiece(for: self) }

    func bodyDidEnd() {
        body = nil
        stream.remove(self)
    }
}
