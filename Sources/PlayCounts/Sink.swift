/// Where the calls go: a client, seen from the publisher.
package protocol Sink: AnyObject {
    /// Makes the call and answers once, now or later, on the thread that asked.
    ///
    /// A failure is not the end: the publisher keeps the counts and comes again with newer ones.
    func send(_ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void)

    /// No further call comes: lets go of connections, without another answer.
    func close()
}

extension Sink {
    package func close() {}
}

package enum SinkError: Error, Equatable, CustomStringConvertible {
    /// The client takes no more for now.
    case busy
    /// The client is gone.
    case unreachable(String)
    /// The client has the call and does not take it.
    case refused(String)

    package var description: String {
        switch self {
        case .busy: "the client does not keep up with the calls"
        case .unreachable(let reason): "the client cannot be reached: \(reason)"
        case .refused(let answer): "the client refuses: \(answer)"
        }
    }
}
