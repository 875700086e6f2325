import HTTP

/// One browser that listens: where it is in the log.
final class Browser: HTTPBodySource {
    private unowned let server: PageServer
    /// The last event it was given; `nil` if it needs the state first.
    var cursor: Int?
    /// Nothing was said for a while, and a word is due so that the connection is known to be there.
    var isOwedSign = false
    private(set) var body: HTTPBodyStream?

    init(of server: PageServer, at cursor: Int?) {
        self.server = server
        self.cursor = cursor
    }

    func bodyStarts(_ body: HTTPBodyStream) { self.body = body }

    func nextPiece() -> HTTPPiece? { server.nextPiece(for: self) }

    func bodyEnded() {
        body = nil
        server.left(self)
    }
}
