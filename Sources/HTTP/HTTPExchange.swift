/// One request on its way to an answer.
final class HTTPExchange {
    enum Stage {
        /// Its body is read, up to `bodyLimit`.
        case collecting
        /// With the service. Its body is there, or nobody wants it.
        case dispatched
        case answered
    }

    let head: HTTPHead
    var request: HTTPRequest
    var stage = Stage.collecting
    var bodyLimit = 0
    var tooLarge: HTTPResponse?
    /// The client waits to be told that its body is wanted.
    var expectsContinue: Bool
    var isBodyEnded = false
    private var skippedBytes = 0

    /// How many bytes of a body that nobody wants are read to get at the next request.
    private static let maxSkippedBytes = 256 << 10

    init(_ head: HTTPHead, _ request: HTTPRequest) {
        self.head = head
        self.request = request
        expectsContinue = head.headers["Expect"]?.lowercased() == "100-continue"
    }

    /// - Returns: `false` if that makes the body too large.
    func collect(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard request.body.count + bytes.count <= bodyLimit else { return false }
        request.body += bytes
        return true
    }

    func skip(_ count: Int) { skippedBytes += count }

    /// Whether the rest of the body can be read, once nobody wants it, to get at what follows.
    var canSkipRest: Bool {
        if isBodyEnded { return true }
        // A client that still waits for the 100 may send the body or leave it: who could tell.
        if expectsContinue, head.hasBody { return false }
        switch head.bodyLength {
        case .bytes(let count): return count <= Self.maxSkippedBytes
        case .unknown: return skippedBytes <= Self.maxSkippedBytes
        }
    }
}
