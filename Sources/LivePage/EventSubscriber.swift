import HTTP

/// A browser that is connected to an ``EventStream``, and its cursor in the ``EventLog``.
final class EventSubscriber: HTTPBodySource {
    private unowned let stream: EventStream
    private var body: HTTPBodyStream?
    /// The number of the last event that the server sent to this browser; `nil` if the browser
    /// needs the whole state first.
    var cursor: Int?
    /// `true` if the connection was idle for the keep-alive interval, and a comment must be sent.
    var needsKeepAlive = false

    init(of stream: EventStream, at cursor: Int?) {
        self.stream = stream
        self.cursor = cursor
    }

    /// Sends new events, unless a write is still in progress.
    func resume() { body?.resume() }

    func bodyDidStart(_ body: HTTPBodyStream) { self.body = body }

    func nextChunk() -> HTTPChunk? { stream.nextPiece(for: self) }

    func bodyDidEnd() {
        body = nil
        stream.remove(self)
    }
}
