/// A request in progress: its response is not written, or its body is not read to the end.
final class HTTPServerExchange {
    enum Stage {
        /// The service has not decided yet whether to collect the body.
        case received
        /// The body is being collected; a body of more than `limit` bytes gets the response
        /// `tooLarge`.
        case collecting(limit: Int, tooLarge: HTTPResponse)
        /// The service processes the request. The body is complete, or the service skips it.
        case processing
        /// The response is written. The rest of the body is skipped.
        case responded
    }

    let head: HTTPHead
    private(set) var request: HTTPRequest
    private(set) var stage = Stage.received
    /// `true` after the whole body was read.
    var isBodyComplete = false
    /// `true` while the client waits for `100 Continue` before it sends the body.
    private(set) var expectsContinue: Bool
    private var skippedBytes = 0
    private let memory: (any HTTPBodyMemory)?
    /// The number of received bytes of the body, collected or skipped.
    private(set) var receivedBytes = 0

    /// The maximum number of body bytes to skip; skipping a longer body costs more than a new
    /// connection.
    private static let maxSkippedBytes = 256 << 10

    /// - Parameter memory: the limit of the memory of bodies; `nil` for no limit.
    init(_ head: HTTPHead, _ request: HTTPRequest, memory: (any HTTPBodyMemory)?) {
        self.memory = memory
        self.head = head
        self.request = request
        expectsContinue = head.headers["Expect"]?.lowercased() == "100-continue"
    }

    deinit { memory?.remove(request.body.count) }

    var isProcessing: Bool {
        if case .processing = stage { true } else { false }
    }

    var hasResponse: Bool {
        if case .responded = stage { true } else { false }
    }

    /// Starts to collect the body.
    ///
    /// - Returns: `true` if the client waits for `100 Continue`, which the caller must send.
    func startCollecting(limit: Int, tooLarge: HTTPResponse) -> Bool {
        stage = .collecting(limit: limit, tooLarge: tooLarge)
        guard expectsContinue, head.hasBody else { return false }
        expectsContinue = false
        return true
    }

    /// Appends received bytes to the body if the body is being collected, and skips them otherwise.
    ///
    /// - Returns: the response to send if the body is too large or its memory is not available; `nil`
    ///   otherwise.
    func receive(_ bytes: UnsafeRawBufferPointer) -> HTTPResponse? {
        receivedBytes += bytes.count
        guard case .collecting(let limit, let tooLarge) = stage else {
            skippedBytes += bytes.count
            return nil
        }
        guard request.body.count + bytes.count <= limit else {
            removeBody()
            return tooLarge
        }
        if let refusal = memory?.add(bytes.count, toBodyOf: request.body.count) {
            removeBody()
            return refusal
        }
        request.body += bytes
        return nil
    }

    private func removeBody() {
        memory?.remove(request.body.count)
        request.body = []
    }

    func startProcessing() { stage = .processing }

    func finishResponse() { stage = .responded }

    /// `true` if the rest of the body is short enough to be skipped before the next request.
    var canSkipRest: Bool {
        if isBodyComplete { return true }
        // A client that waits for `100 Continue` may send or omit the body, so the bytes after the
        // head are ambiguous.
        if expectsContinue, head.hasBody { return false }
        switch head.bodyLength {
        case .bytes(let count): return count <= Self.maxSkippedBytes
        case .unknown: return skippedBytes <= Self.maxSkippedBytes
        }
    }
}
