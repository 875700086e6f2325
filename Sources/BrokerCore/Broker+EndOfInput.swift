import NSQWire

/// The end of what a client sends, where it comes too early.
extension Broker {
    /// The client sends nothing more, and has left a command unfinished. One that lacks its body, or
    /// a part of it, is refused in nsqd's words; half a line is dropped without any.
    ///
    /// - Parameter rest: what was not taken.
    package func endInput(_ rest: Bytes, from session: Session, at now: Moment) {
        turn.now = now
        guard session.phase != .greeting, !session.isEnded, !session.isWaiting else { return }
        var end = 0
        guard case .line(let line) = CommandLine.next(in: rest, at: &end), let verb = line.verb,
            let error = verb.bodyCutShort(after: rest.count - end, rest.count, session.checkedBatch)
        else { return }
        fail(session, error)
    }
}

extension Verb {
    /// What is to be said of a body that ends after so many bytes.
    fileprivate func bodyCutShort(
        after bodyBytes: Int, _ commandBytes: Int, _ batch: CheckedBatch?
    ) -> ProtocolError? {
        let isInSize = bodyBytes < 4
        switch self {
        case .publish, .deferredPublish:
            return failedToRead(.badMessage, isInSize ? "message body size" : "message body")
        case .identify, .authenticate:
            return failedToRead(.badBody, isInSize ? "body size" : "body")
        case .multiPublish:
            guard !isInSize else { return failedToRead(.badBody, "body size") }
            guard let batch else { return failedToRead(.badBody, "message count") }
            return failedToRead(
                .badMessage,
                commandBytes - batch.offset < 4
                    ? "message(\(batch.index)) body size" : "message body")
        default: return nil
        }
    }

    private func failedToRead(_ code: ProtocolError.Code, _ what: String) -> ProtocolError {
        ProtocolError(code, "\(rawValue) failed to read \(what)")
    }
}
