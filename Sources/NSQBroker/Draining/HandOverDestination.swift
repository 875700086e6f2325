import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import TallyJSON
import UVLoop

/// The broker that receives the messages of a draining broker, over its HTTP API.
///
/// A broker of this package dispatches a message to exactly the channels that have not finished it.
/// An nsqd dispatches each message to all channels of its topic.
final class HandOverDestination {
    /// The address as the user has written it.
    let address: String
    private let url: HTTPURL
    private let client: HTTPClient
    /// The program at the address; `nil` before its first response.
    private(set) var program: Program?
    /// The channels that topics have at an nsqd. An entry is valid for one second.
    private var channels: [TopicName: (names: Set<ChannelName>, until: Int64)] = [:]

    /// The program at the address, with its version.
    enum Program: Equatable, CustomStringConvertible {
        case tally(String)
        case nsqd(String)

        var description: String {
            switch self {
            case .tally(let version): "tally \(version)"
            case .nsqd(let version): "nsqd \(version)"
            }
        }
    }

    /// The reason why a request has failed.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    typealias Completion<Success> = (Result<Success, Failure>) -> Void

    /// - Returns: `nil` if the address is neither `host:port` nor a URL.
    init?(_ address: String, of server: BrokerServer) {
        let text = address.contains("://") ? address : "http://\(address)"
        guard let url = HTTPURL(parsing: text) ?? HTTPURL(parsing: text, scheme: .https) else {
            return nil
        }
        self.address = address
        self.url = url
        client = HTTPClient(server.options, trusting: server.trust, on: server.loop)
    }

    /// Ends all requests with a failure.
    func close() { client.close() }

    /// Removes the program and the channels, so that they are requested again. No batch may be in
    /// progress.
    func forgetProgram() {
        program = nil
        channels = [:]
    }

    // MARK: Requests

    /// Requests the program and its version.
    func identify(_ done: @escaping Completion<Void>) {
        send("/info", [:]) { [weak self] result in
            switch result {
            case .failure(let failure): done(.failure(failure))
            case .success(let body):
                guard let json = try? JSONValue(parsingLikeGo: body, keptDepth: 1),
                    let version = json["version"].flatMap({ String(json: $0) })
                else { return done(.failure(Failure(description: "/info is not that of an nsqd"))) }
                let own = json["tally_version"].flatMap { String(json: $0) }
                self?.program = own.map { .tally($0) } ?? .nsqd(version)
                done(.success(()))
            }
        }
    }

    /// Publishes a batch.
    ///
    /// - Parameter all: the channels that the topic has in the draining broker.
    func publish(
        _ batch: HandOverBatch, all: [ChannelName], _ done: @escaping Completion<Void>
    ) {
        let done: Completion<[UInt8]> = { done($0.map { _ in }) }
        if case .tally = program {
            let names = (batch.channels ?? all).map(\.text).joined(separator: ",")
            let only = batch.channels == nil ? "false" : "true"
            send(
                "/handover", ["topic": batch.topic.text, "channels": names, "only": only],
                body: HandOverBody.bytes(of: batch), done)
        } else if batch.messages.count == 1 {
            var arguments = ["topic": batch.topic.text]
            let delay = batch.messages[0].delay.millisecondsRoundedUp
            if delay > 0 { arguments["defer"] = "\(delay)" }
            send("/pub", arguments, body: batch.messages[0].body, done)
        } else {
            var body: [UInt8] = []
            body.append(bigEndian: Int32(batch.messages.count))
            for message in batch.messages {
                body.append(bigEndian: Int32(message.body.count))
                body += message.body
            }
            send("/mpub", ["topic": batch.topic.text, "binary": "true"], body: body, done)
        }
    }

    // MARK: Channels at an nsqd

    /// The time for which the channels of a topic are not requested again.
    private static let channelTime = Duration.seconds(1)

    /// Creates a topic and its channels unless they exist, and requests all channels of the topic.
    func channels(
        of topic: TopicName, creating names: [ChannelName], at now: Int64,
        _ done: @escaping Completion<Set<ChannelName>>
    ) {
        if let known = channels[topic], known.until > now, known.names.isSuperset(of: names) {
            return done(.success(known.names))
        }
        var creations: [(String, [String: String])] = [("/topic/create", ["topic": topic.text])]
        for name in names {
            creations.append(("/channel/create", ["topic": topic.text, "channel": name.text]))
        }
        create(creations[...]) { [weak self] result in
            if case .failure(let failure) = result { return done(.failure(failure)) }
            self?.requestChannels(of: topic, until: now + Self.channelTime.nanoseconds, done)
        }
    }

    private func create(
        _ requests: ArraySlice<(String, [String: String])>, _ done: @escaping Completion<Void>
    ) {
        guard let (path, arguments) = requests.first else { return done(.success(())) }
        send(path, arguments, body: []) { [weak self] result in
            switch result {
            case .failure(let failure): done(.failure(failure))
            case .success: self?.create(requests.dropFirst(), done)
            }
        }
    }

    private func requestChannels(
        of topic: TopicName, until: Int64, _ done: @escaping Completion<Set<ChannelName>>
    ) {
        let arguments = ["format": "json", "topic": topic.text, "include_clients": "false"]
        send("/stats", arguments) { [weak self] result in
            done(
                result.flatMap { body in
                    guard let names = Self.channels(of: topic, in: body) else {
                        return .failure(Failure(description: "/stats is not that of an nsqd"))
                    }
                    self?.channels[topic] = (names, until)
                    return .success(names)
                })
        }
    }

    /// Returns the channels of a topic in the response to `/stats`; `nil` if it is malformed.
    static func channels(of topic: TopicName, in body: [UInt8]) -> Set<ChannelName>? {
        guard let json = try? JSONValue(parsingLikeGo: body, keptDepth: 6),
            case .array(let topics) = json["topics"]
        else { return nil }
        let found = topics.first {
            $0["topic_name"].flatMap { String(json: $0) } == topic.text
        }
        guard let found, case .array(let channels) = found["channels"] else { return nil }
        let names = channels.compactMap { channel in
            channel["channel_name"].flatMap { String(json: $0) }.flatMap { ChannelName($0) }
        }
        return names.count == channels.count ? Set(names) : nil
    }

    // MARK: HTTP

    private func send(
        _ path: String, _ arguments: [String: String], body: [UInt8]? = nil,
        _ done: @escaping Completion<[UInt8]>
    ) {
        var url = url
        url.target = (url.target == "/" ? "" : url.target) + path
        for (name, value) in arguments.sorted(by: { $0.key < $1.key }) { url.append(name, value) }
        client.ask(url, body: body) { result in
            switch result {
            case .failure(let error): done(.failure(Failure(description: "\(error)")))
            case .success(let response) where response.status == 200:
                done(.success(response.body))
            case .success(let response):
                let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 1)
                let message = json?.text("message") ?? ""
                done(
                    .failure(
                        Failure(description: "\(path): status \(response.status) \(message)")))
            }
        }
    }
}
