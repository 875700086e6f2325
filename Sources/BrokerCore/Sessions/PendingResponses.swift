import DequeModule
import NSQWire

/// The ordered responses that a session cannot send yet. The first of these responses is for a
/// publish whose log records are not flushed or synced. All later responses wait until that response
/// was sent.
struct PendingResponses {
    private enum Response {
        /// Responses to `count` consecutive publishes with the same verb, whose log records the
        /// flush with the number `flush` writes.
        case published(Verb, count: Int, flush: UInt64)
        case frame([UInt8])
    }

    /// A placeholder for the number of the next flush.
    static let nextFlush = UInt64.max

    private var responses = Deque<Response>()
    /// The number of responses at the end of `responses`, from the first publish whose flush has no
    /// number yet; 0 if there is no such publish.
    private var unflushedCount = 0

    var isEmpty: Bool { responses.isEmpty }

    /// The bytes that the responses take in memory or on the wire, whichever is more.
    private(set) var byteCount = 0
    /// The memory of one response, without a frame.
    private static let entryBytes = 48

    /// `true` if the log records of at least one publish are not flushed yet.
    var containsUnflushed: Bool { unflushedCount > 0 }

    /// Appends a response frame to the pending responses, or to the outbox if no response is
    /// pending.
    mutating func append(_ frame: [UInt8], to outbox: inout Outbox) {
        guard !responses.isEmpty else { return outbox.append(frame) }
        append(.frame(frame))
    }

    private mutating func append(_ response: Response) {
        responses.append(response)
        byteCount += Self.byteCount(of: response)
        if unflushedCount > 0 { unflushedCount += 1 }
    }

    mutating func appendOK(to outbox: inout Outbox) {
        guard !responses.isEmpty else { return outbox.appendOK() }
        append(.frame(Frame.bytes(.response, Frame.ok.bytes)))
    }

    /// Appends the response to a publish, which can be sent after the next flush.
    mutating func appendPublish(_ verb: Verb) {
        byteCount += Frame.okBytes
        if case .published(verb, let count, Self.nextFlush)? = responses.last {
            responses[responses.count - 1] = .published(
                verb, count: count + 1, flush: Self.nextFlush)
        } else {
            unflushedCount += 1
            byteCount += Self.entryBytes
            responses.append(.published(verb, count: 1, flush: Self.nextFlush))
        }
    }

    /// Stores the number of a flush in the publishes that it has written: those since the previous
    /// flush.
    mutating func didFlush(_ number: UInt64) {
        for index in responses.count - unflushedCount..<responses.count {
            guard case .published(let verb, let count, Self.nextFlush) = responses[index] else {
                continue
            }
            responses[index] = .published(verb, count: count, flush: number)
        }
        unflushedCount = 0
    }

    /// Moves the responses that can be sent now to the outbox: responses to publishes up to the flush
    /// `number`, and the frames between and after these responses.
    ///
    /// - Parameter failure: the error of the flushes; `nil` if they succeeded.
    /// - Returns: the error that was sent to the client; `nil` without a failure. The caller then
    ///   ends the session.
    mutating func release(
        upTo number: UInt64, _ failure: MessageLogError?, to outbox: inout Outbox
    ) -> ProtocolError? {
        while let response = responses.first {
            switch response {
            case .frame(let frame): outbox.append(frame)
            case .published(let verb, let count, let flush):
                guard flush <= number else { return nil }
                if let failure { return refuse(verb, failure, at: 0, to: &outbox) }
                for _ in 0..<count { outbox.appendOK() }
            }
            byteCount -= Self.byteCount(of: response)
            responses.removeFirst()
        }
        return nil
    }

    private static func byteCount(of response: Response) -> Int {
        switch response {
        case .frame(let frame): entryBytes + frame.count
        case .published(_, let count, _): entryBytes + count * Frame.okBytes
        }
    }

    /// Refuses the publishes of the next flush, which has failed. Publishes of earlier flushes may
    /// still succeed.
    ///
    /// - Returns: the error for the client, after which the caller ends the session; `nil` if no
    ///   publish was refused.
    mutating func refuseNext(
        _ failure: MessageLogError, to outbox: inout Outbox
    ) -> ProtocolError? {
        let index = responses.count - unflushedCount
        guard index < responses.count, case .published(let verb, _, _) = responses[index] else {
            return nil
        }
        return refuse(verb, failure, at: index, to: &outbox)
    }

    /// Replaces the response at `index` and all later responses with an error, as in nsqd.
    ///
    /// Clients depend on this: pynsq treats the first error as the result of all publishes in
    /// progress. If a response followed the error, pynsq would treat it as the response to its next
    /// publish.
    private mutating func refuse(
        _ verb: Verb, _ failure: MessageLogError, at index: Int, to outbox: inout Outbox
    ) -> ProtocolError {
        let code: ProtocolError.Code =
            switch verb {
            case .multiPublish: .multiPublishFailed
            case .deferredPublish: .deferredPublishFailed
            default: .publishFailed
            }
        let error = ProtocolError(code, verb, "failed \(failure)")
        for _ in index..<responses.count { byteCount -= Self.byteCount(of: responses.removeLast()) }
        unflushedCount = 0
        append(.frame(Frame.bytes(.error, error.data)))
        _ = release(upTo: 0, nil, to: &outbox)
        return error
    }
}

extension Frame {
    /// The size of the response `OK` in bytes.
    fileprivate static let okBytes = 10

    /// Returns the bytes of one frame.
    static func bytes(_ kind: Kind, _ data: some Collection<UInt8>) -> [UInt8] {
        var frame: [UInt8] = []
        append(kind, data, to: &frame)
        return frame
    }
}
