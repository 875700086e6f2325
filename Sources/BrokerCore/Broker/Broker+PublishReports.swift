import DequeModule
import NSQWire
import TallyBasics

/// Reports of published messages and refused publishes, for tests of programs that publish.
extension Broker {
    /// Sets the function that receives the body of each message that is published from now on. The
    /// broker calls the function at the end of each loop iteration, after the flush of the message
    /// log and before the publishers receive their responses. Deferred messages can be reported
    /// before or after the other messages of the same iteration.
    package func setPublishReporter(_ report: @escaping (TopicName, Bytes) -> Void) {
        for topic in topics.values { topic.skipReports() }
        onPublish = report
    }

    /// Reports the messages that were published since the last call. The caller calls this method
    /// after the flush of the message log, which may refuse messages, and before messages can leave a
    /// topic.
    func sendPublishReports() {
        guard let onPublish else { return }
        for topic in topics.values { topic.report { onPublish(topic.name, $0) } }
    }

    /// Refuses a publish for a test, with the error code of a publish that the broker cannot store.
    /// No event is logged, because the test expects the refusal.
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

/// The messages of one topic that were reported: all records of the segments before the segment
/// `serial`, and the first `count` records of the segment `serial`.
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
