import UVLoop

extension HTTPService {
    /// Processes a request in a task, and responds with its result on the loop.
    ///
    /// - Parameters:
    ///   - loop: the loop of the server.
    ///   - respond: the closure that the server has passed to ``respond(to:_:)``.
    ///   - operation: returns the response.
    package func respond(
        on loop: Loop, _ respond: @escaping (HTTPResponse) -> Void,
        with operation: @escaping @Sendable () async -> HTTPResponse
    ) {
        let waiting = LoopBound(WaitingClient(respond: respond), on: loop)
        let mailbox = loop.mailbox
        Task {
            let response = await operation()
            mailbox.submit { waiting.removeValue(on: $0)?.respond(response) }
        }
    }
}

private final class WaitingClient {
    let respond: (HTTPResponse) -> Void

    init(respond: @escaping (HTTPResponse) -> Void) { self.respond = respond }
}
