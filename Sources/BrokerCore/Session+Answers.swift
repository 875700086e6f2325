import DequeModule
import NSQWire

/// Something that a client is to be told in its turn.
enum Answer {
    /// So many publishes in a row, all of one kind, that are in the ledger once `write` is done.
    case published(Verb, count: Int, write: UInt64)
    case frame([UInt8])

    /// The number of a write that is yet to come.
    static let nextWrite = UInt64.max
}

extension Session {
    /// Says it after all that is to be said before.
    func say(_ frame: [UInt8]) {
        guard !answers.isEmpty else { return outbox.append(frame) }
        answers.append(.frame(frame))
    }

    func sayOK() {
        guard !answers.isEmpty else { return outbox.appendOK() }
        var frame: [UInt8] = []
        Frame.append(.response, Frame.ok.bytes, to: &frame)
        answers.append(.frame(frame))
    }

    /// Takes note of a publish that is to be answered after the next write.
    func awaitWrite(_ verb: Verb) {
        if case .published(verb, let count, Answer.nextWrite)? = answers.last {
            answers[answers.count - 1] = .published(
                verb, count: count + 1, write: Answer.nextWrite)
        } else {
            answers.append(.published(verb, count: 1, write: Answer.nextWrite))
        }
    }

    /// The write that its publishes waited for has this number.
    func noteWrite(_ number: UInt64) {
        for (place, answer) in answers.enumerated() {
            guard case .published(let verb, let count, Answer.nextWrite) = answer else { continue }
            answers[place] = .published(verb, count: count, write: number)
        }
    }

    /// Says what can be said now that the writes up to `number` are done, or have failed.
    ///
    /// - Returns: what it was refused, if it was.
    func answer(upTo number: UInt64, _ failure: LedgerError?) -> ProtocolError? {
        while let answer = answers.first {
            switch answer {
            case .frame(let frame): outbox.append(frame)
            case .published(let verb, let count, let write):
                guard write <= number else { return nil }
                if let failure {
                    defer { _ = self.answer(upTo: 0, nil) }
                    return refuse(verb, failure, at: 0)
                }
                for _ in 0..<count { outbox.appendOK() }
            }
            answers.removeFirst()
        }
        return nil
    }

    /// The write that its last publishes waited for failed; earlier ones may still succeed.
    ///
    /// - Returns: what it was refused, if it was.
    func refuseNext(_ failure: LedgerError) -> ProtocolError? {
        for (place, answer) in answers.enumerated() {
            guard case .published(let verb, _, Answer.nextWrite) = answer else { continue }
            defer { _ = self.answer(upTo: 0, nil) }
            return refuse(verb, failure, at: place)
        }
        return nil
    }

    /// The publish that waits at `place` is refused, which ends the connection, as in nsqd, and
    /// nothing that comes behind it is answered. Clients count on it: pynsq takes the first error
    /// for one of all publishes under way, and would take answers that came behind it for those of
    /// its next publishes, an OK for a message that was refused among them.
    private func refuse(_ verb: Verb, _ failure: LedgerError, at place: Int) -> ProtocolError {
        let code: ProtocolError.Code =
            switch verb {
            case .multiPublish: .multiPublishFailed
            case .deferredPublish: .deferredPublishFailed
            default: .publishFailed
            }
        let error = ProtocolError(code, "\(verb.rawValue) failed \(failure)")
        var frame: [UInt8] = []
        Frame.append(.error, error.data, to: &frame)
        answers.removeLast(answers.count - place)
        answers.append(.frame(frame))
        phase = .ended
        return error
    }
}
