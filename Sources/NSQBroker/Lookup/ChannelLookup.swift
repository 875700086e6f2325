import HTTP
import NSQWire
import TallyJSON
import UVLoop

/// Asks all nsqlookupds at the same time for the channels that other brokers have of a topic.
final class ChannelLookup {
    private let topic: TopicName
    private let addresses: [SocketAddress]
    private let client: HTTPClient
    private let done: ([ChannelName], [String]) -> Void
    private var calls: [HTTPClientRequest] = []
    private var pendingCount = 0
    private var channels: Set<ChannelName> = []
    private var failures: [String] = []

    /// Creates a lookup; ``start()`` sends its requests.
    ///
    /// - Parameter done: runs once, when every request has ended, with the sorted channels and a
    ///   text for each failed request.
    init(
        of topic: TopicName, at addresses: [SocketAddress], with client: HTTPClient,
        _ done: @escaping ([ChannelName], [String]) -> Void
    ) {
        self.topic = topic
        self.addresses = addresses
        self.client = client
        self.done = done
    }

    /// Sends one request to each nsqlookupd.
    func start() {
        pendingCount = addresses.count
        guard pendingCount > 0 else { return done([], []) }
        calls = addresses.map { address in
            var url = HTTPURL(address: address, target: "/channels")
            url.append("topic", topic.text)
            return client.ask(url) { [weak self] in self?.receive($0, from: address) }
        }
    }

    /// Cancels the requests; `done` does not run.
    func cancel() {
        for call in calls { call.cancel() }
    }

    private func receive(
        _ result: Result<HTTPClientResponse, HTTPClientError>, from address: SocketAddress
    ) {
        switch result {
        case .failure(let error): failures.append("\(address): \(error)")
        case .success(let response):
            // An nsqlookupd that does not have the topic responds with 404.
            if response.status == 404 { break }
            guard response.status == 200, let names = Self.names(in: response.body) else {
                failures.append("\(address): status \(response.status)")
                break
            }
            channels.formUnion(names)
        }
        pendingCount -= 1
        if pendingCount == 0 { done(channels.sorted(), failures) }
    }

    /// Returns the valid channel names of a response, or `nil` if it is malformed.
    static func names(in body: [UInt8]) -> [ChannelName]? {
        let response = try? JSONValue(parsingLikeGo: body, keptDepth: 2)
        return response?["channels"].flatMap { [String](json: $0) }?.compactMap { ChannelName($0) }
    }
}
