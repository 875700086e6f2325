import HTTP
import Transport
import UVLoop

/// Posts each call as JSON to an address of the client's, one after the other over one connection.
///
/// Any status of 2xx accepts the call; with any other, and when there is no answer in time, it
/// fails, and with it those that wait behind it. So an older total never comes after a newer one.
package final class HTTPSink: Sink {
    private let url: HTTPURL
    private let session: HTTPSession
    // INVARIANT: the first is under way. Never more than the calls of a round.
    private var waiting: [(call: Call, answer: (Result<Void, SinkError>) -> Void)] = []

    private static let headers = [
        (name: "Content-Type", value: "application/json"), (name: "User-Agent", value: "tally"),
    ]

    /// - Parameter tls: for `https`.
    package init(
        to url: HTTPURL, tls: TLSContext? = nil, on loop: Loop,
        requestTimeout: Duration = .seconds(10)
    ) {
        self.url = url
        session = HTTPSession(with: url.address, tls: tls, on: loop)
        session.requestTimeout = requestTimeout
    }

    package func send(
        _ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void
    ) {
        waiting.append((call, answer))
        if waiting.count == 1 { post(call) }
    }

    package func close() {
        waiting = []
        session.close()
    }

    private func post(_ call: Call) {
        var body: [UInt8] = []
        call.appendJSON(to: &body)
        session.post(url, headers: Self.headers, body: body) { [weak self] result in
            switch result {
            case .success(200..<300): self?.accepted()
            case .success(let status): self?.failed(.refused("status \(status)"))
            case .failure(let error): self?.failed(.unreachable("\(error)"))
            }
        }
    }

    private func accepted() {
        let answer = waiting.removeFirst().answer
        if let next = waiting.first { post(next.call) }
        answer(.success(()))
    }

    private func failed(_ error: SinkError) {
        let all = waiting
        waiting = []
        for (_, answer) in all { answer(.failure(error)) }
    }
}
