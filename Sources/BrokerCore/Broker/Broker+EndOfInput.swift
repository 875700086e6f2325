import NSQWire
import TallyBasics

/// Handling of a client's end of input in the middle of a command.
extension Broker {
    /// Handles the end of a client's input. A command with an incomplete body is refused with
    /// nsqd's error; an incomplete command line is ignored.
    ///
    /// - Parameter rest: the received bytes that the broker has not consumed.
    package func endInput(_ rest: Bytes, from session: Session, at now: Timestamp) {
        context.setTime(now)
        guard session.phase != .awaitingMagic, !session.isEnded, !session.isWaiting else { return }
        var end = 0
        guard case .line(let line) = CommandLine.next(in: rest, at: &end), let verb = line.verb,
            let error = verb.errorForIncompleteBody(
                after: rest.count - end, rest.count, session.checkedBatch)
        else { return }
        fail(session, error)
    }
}

extension Verb {
    /// Returns the error for a command whose body is incomplete; `nil` for a command without a
    /// body.
    ///
    /// - Parameters:
    ///   - bodyBytes: the number of bytes received after the command line.
    ///   - commandBytes: the number of bytes received from the start of the command line.
    ///   - batch: the checked messages of an MPUB.
    fileprivate func errorForIncompleteBody(
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

    private func failedToRead(_ code: ProtocolError.Code, _ part: String) -> ProtocolError {
        ProtocolError(code, self, "failed to read \(part)")
    }
}
