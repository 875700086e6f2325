import HTTP
import NSQWire
import UVLoop

/// One poll: a request to each nsqlookupd for its nsqds.
final class LookupPoll {
    /// The requested nsqds.
    enum Selection {
        /// The nsqds that have a topic.
        case having(TopicName)
        /// All registered nsqds.
        case all
    }

    /// The union of all responses.
    struct Result: Equatable {
        /// The nsqds that at least one nsqlookupd reports.
        var nsqds: Set<SocketAddress> = []
        /// A description of each failed request.
        var failures: [String] = []
    }

    private let selection: Selection
    private let client: HTTPClient
    private let done: (Result) -> Void
    private var calls: [HTTPClientRequest] = []
    private var pendingCount = 0
    private var result = Result()

    /// Creates a poll; ``start(at:)`` sends its requests.
    ///
    /// - Parameter done: runs once, when every request has ended.
    init(
        for selection: Selection, with client: HTTPClient, _ done: @escaping (Result) -> Void
    ) {
        self.selection = selection
        self.client = client
        self.done = done
    }

    /// Sends one request to each nsqlookupd.
    ///
    /// - Parameter lookupds: the base URLs, at least one.
    func start(at lookupds: [HTTPURL]) {
        pendingCount = lookupds.count
        calls = lookupds.map { lookupd in
            var url = lookupd
            let base = url.target == "/" ? "" : url.target
            switch selection {
            case .having(let topic):
                url.target = base + "/lookup"
                url.append("topic", topic.text)
            case .all: url.target = base + "/nodes"
            }
            // nsqlookupd before version 1.0 chooses the form of the response by this header.
            let accept = (name: "Accept", value: "application/vnd.nsq; version=1.0")
            return client.get(url, headers: [accept]) { [weak self] in
                self?.receive($0, from: lookupd)
            }
        }
    }

    /// Cancels the requests; `done` does not run.
    func cancel() {
        for call in calls { call.cancel() }
    }

    private func receive(
        _ response: Swift.Result<HTTPClientResponse, HTTPClientError>, from lookupd: HTTPURL
    ) {
        switch response {
        case .failure(let error): result.failures.append("\(lookupd.address): \(error)")
        // nsqlookupd responds with 404 until an nsqd has registered the topic.
        case .success(let response) where response.status == 404: break
        case .success(let response):
            if response.status == 200, let lookup = LookupResponse(parsing: response.body) {
                result.nsqds.formUnion(lookup.nsqds)
            } else {
                result.failures.append("\(lookupd.address): status \(response.status)")
            }
        }
        pendingCount -= 1
        if pendingCount == 0 { done(result) }
    }
}
