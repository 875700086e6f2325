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
    func answer(upTo number: UInt64, _ failure: LedgerError?) {
        while let answer = answers.first {
            switch answer {
            case .frame(let frame): outbox.append(frame)
            case .published(_, let count, let write):
                guard write <= number else { return }
                guard let failure else {
                    for _ in 0..<count { outbox.appendOK() }
                    break
                }
                let frame = refusal(of: answer, failure)
                for _ in 0..<count { outbox.append(frame) }
            }
            answers.removeFirst()
        }
    }

    /// The write that its last publishes waited for failed; earlier ones may still succeed.
    func refuseNext(_ failure: LedgerError) {
        var all = Deque<Answer>()
        for answer in answers {
            if case .published(_, let count, Answer.nextWrite) = answer {
                let frame = refusal(of: answer, failure)
                for _ in 0..<count { all.append(.frame(frame)) }
            } else {
                all.append(answer)
            }
        }
        answers = all
        answer(upTo: 0, nil)
    }

    private func refusal(of answer: Answer, _ failure: LedgerError) -> [UInt8] {
        guard case .published(let verb, _, _) = answer else { return [] }
        let code: ProtocolError.Code =
            switch verb {
            case .multiPublish: .multiPublishFailed
            case .deferredPublish: .deferredPublishFailed
            default: .publishFailed
            }
        var frame: [UInt8] = []
        let error = ProtocolError(code, "\(verb.rawValue) failed \(failure)")
        Frame.append(.error, error.data, to: &frame)
        return frame
    }
}
