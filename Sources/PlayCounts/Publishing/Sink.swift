/// Delivers calls to one client.
package protocol Sink: AnyObject {
    /// Makes a call.
    ///
    /// - Parameter completion: called once with the result, on the caller's thread, within `send`
    ///   or later. After a failure, the publisher retries with the latest counts.
    func send(_ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void)

    /// Ends the calls in progress if that is possible. Their completions do not run.
    func abandonCalls()

    /// Closes the connections. The completion of an outstanding call may then never run.
    func close()
}

extension Sink {
    package func abandonCalls() {}
    package func close() {}
}

/// The reason why a call failed.
package enum SinkError: Error, Equatable, CustomStringConvertible {
    /// The client reads more slowly than the calls arrive.
    case busy
    /// There is no connection to the client, or no response.
    case unreachable(String)
    /// The client received the call and rejected it.
    case refused(String)

    package var description: String {
        switch self {
        case .busy: "the client reads too slowly"
        case .unreachable(let reason): "the client is unreachable: \(reason)"
        case .refused(let response): "the client rejected the call: \(response)"
        }
    }
}
