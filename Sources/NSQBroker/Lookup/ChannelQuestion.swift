import FoundationEssentials
import HTTP
import NSQWire
import UVLoop

/// Which channels a topic has elsewhere: asked of all nsqlookupds at once.
final class ChannelQuestion {
    private let topic: TopicName
    private let places: [SocketAddress]
    private let client: HTTPClient
    private let done: ([ChannelName], [String]) -> Void
    private var calls: [HTTPCall] = []
    private var unanswered = 0
    private var channels: Set<ChannelName> = []
    private var failures: [String] = []

    /// - Parameter done: called once, when all have answered or failed to: the channels by name,
    ///   and what went wrong.
    init(
        of topic: TopicName, at places: [SocketAddress], with client: HTTPClient,
        _ done: @escaping ([ChannelName], [String]) -> Void
    ) {
        self.topic = topic
        self.places = places
        self.client = client
        self.done = done
    }

    func ask() {
        unanswered = places.count
        guard unanswered > 0 else { return done([], []) }
        calls = places.map { place in
            var url = HTTPURL(address: place, target: "/channels")
            url.append("topic", topic.text)
            return client.ask(url) { [weak self] in self?.take($0, from: place) }
        }
    }

    func cancel() {
        for call in calls { call.cancel() }
    }

    private func take(_ result: Result<HTTPAnswer, HTTPClientError>, from place: SocketAddress) {
        switch result {
        case .failure(let error): failures.append("\(place): \(error)")
        case .success(let answer):
            // It knows nothing of the topic: that is no failure.
            if answer.status == 404 { break }
            guard answer.status == 200, let names = Self.names(in: answer.body) else {
                failures.append("\(place): status \(answer.status)")
                break
            }
            channels.formUnion(names)
        }
        unanswered -= 1
        if unanswered == 0 { done(channels.sorted(), failures) }
    }

    private struct Answer: Decodable {
        var channels: [String]
    }

    /// What is no name of a channel is left out.
    private static func names(in body: [UInt8]) -> [ChannelName]? {
        try? JSONDecoder().decode(Answer.self, from: Data(body)).channels
            .compactMap { ChannelName($0) }
    }
}
