import DequeModule
import NSQWire
import TallyBasics

/// Reports of published messages and refused publishes, for tests of programs that publish.
extension Broker {
    /// Sets the function that receives the body of each message that is published from now on. The calls
    /// are made once per loop iteration, after the flush of the message log and before the publishers
    /// receive their responses. Deferred messages of an iteration can precede or follow the others.
    package func setPublishReporter(_ report: @escaping (TopicName, Bytes) -> Void) {
        for topic in topics.values { topic.skipReports() }
        onPublish = report
    }

    /// Reports the messages since the last call. It runs before messages can leave a topic, and after
    /// the flush of the message log, which may refuse them.
    func sendPublishReports() {
        guard let onPublish else { return }
        for topic in topics.values { topic.report { onPublish(topic.name, $0) } }
    }

    /// Refuses a publish, as the broker does when it cannot store messages, but without an event for
    /// the log: the test expects the refusal.
    ///
    /// - Parameter verb: the verb of the publish.
    package func refusePublish(_ verb: Verb, from session: Session, at now: Timestamp) {
        context.setTime(now)
        let code: ProtocolError.Code =
            switch verb {
            case .multiPublish: .multiPublishFailed
            case .deferredPublish: .deferredPublishFailed
            default: .publishFailed
            }
        let error = ProtocolError(code, verb, "failed refused by the test")
        session.send(Frame.bytes(.error, error.data))
        session.end()
        context.pending.add(session)
    }
}

/// The messages of one topic that were reported: all records of the segments before `serial`, and the
/// first `count` records of that segment.
struct ReportedEnd {
    private var serial: UInt64 = 0
    private var count = 0

    /// Returns the indexes of the segment's records that were not reported yet, and marks them as
    /// reported. The segments are passed in the order of their serial numbers.
    mutating func advance(past segment: Segment) -> Range<Int> {
        guard segment.serial >= serial else { return 0..<0 }
        let first = segment.serial == serial ? min(count, segment.count) : 0
        serial = segment.serial
        count = segment.count
        return first..<segment.count
    }
}

extension Topic {
    /// Marks all messages as reported.
    func skipReports() {
        for segment in segments.all { _ = advanceReports(past: segment) }
    }

    /// Calls `body` with the body of each message that was not reported yet.
    func report(_ body: (Bytes) -> Void) {
        for segment in segments.all {
            let indexes = advanceReports(past: segment)
            guard !indexes.isEmpty, segment.isResident || pageIn(segment) else { continue }
            for index in indexes where segment.contains(index) {
                let frame = segment.frame(at: index)
                body(frame.view(MessageFrame.bodyOffset..<frame.count))
            }
        }
    }
}
