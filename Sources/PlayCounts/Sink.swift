/// Where the calls go: a client, seen from the publisher.
package protocol Sink: AnyObject {
    /// Makes the call and answers once, now or later, on the thread that asked.
    ///
    /// A failure is not the end: the publisher keeps the counts and comes again with newer ones.
    func send(_ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void)
}

package enum SinkError: Error, Equatable, CustomStringConvertible {
    /// The client takes no more for now.
    case busy
    /// The client is gone, or refuses.
    case unreachable(String)

    package var description: String {
        switch self {
        case .busy: "the client does not keep up with the calls"
        case .unreachable(let reason): "the client cannot be reached: \(reason)"
        }
    }
}
