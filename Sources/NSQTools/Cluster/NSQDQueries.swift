import HTTP
import NSQClient
import NSQWire
import TallyJSON
import UVLoop

/// Reads topics, producers and statistics from nsqds and nsqlookupds over HTTP.
package final class NSQDQueries: Sendable {
    private let sender: HTTPSender

    /// The reason why a request has no usable response.
    package struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        /// The address and the cause.
        package let description: String
    }

    /// The maximum size of a response in bytes.
    private static let maxBodyBytes = 64 << 20

    /// Creates a client.
    ///
    /// - Parameters:
    ///   - connectTimeout: the maximum time until a connection is established.
    ///   - requestTimeout: the maximum time for a response.
    /// - Throws: `Failure` if the process has no file descriptors or threads left.
    package init(connectTimeout: Duration, requestTimeout: Duration) throws(Failure) {
        do throws(UVError) {
            sender = try HTTPSender(
                connectTimeout: connectTimeout, requestTimeout: requestTimeout,
                maxBodyBytes: Self.maxBodyBytes)
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    /// Closes the client.
    package func stop() async { await sender.stop() }

    // MARK: nsqlookupd

    /// Returns the topics that are registered at one nsqlookupd or more, sorted.
    package func topics(of lookupds: [String]) async throws(Failure) -> [String] {
        var topics: Set<String> = []
        for lookupd in lookupds {
            let json = try await get(lookupd, "/topics")
            topics.formUnion(json["topics"].flatMap { [String](json: $0) } ?? [])
        }
        return topics.filter { TopicName($0) != nil }.sorted()
    }

    /// Returns the HTTP addresses of the nsqds that have a topic, sorted and without duplicates. It
    /// is not an error if an nsqlookupd does not know the topic.
    package func nsqds(
        of topic: String, lookupds: [String]
    ) async throws(Failure) -> [String] {
        var addresses: Set<String> = []
        for lookupd in lookupds {
            let json = try await get(lookupd, "/lookup", ["topic": topic], allowsNotFound: true)
            guard case .array(let producers) = json["producers"] else { continue }
            for producer in producers {
                guard let name = producer["broadcast_address"].flatMap({ String(json: $0) }),
                    let port = producer["http_port"].flatMap({ Int(json: $0) })
                else { continue }
                addresses.insert(name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)")
            }
        }
        return addresses.sorted()
    }

    // MARK: nsqd

    /// Returns the statistics of topics and their channels, summed up over the nsqds.
    ///
    /// - Parameters:
    ///   - topic: only this topic; `nil` for all.
    ///   - channel: only this channel; `nil` for all.
    package func statistics(
        of nsqds: [String], topic: String? = nil, channel: String? = nil
    ) async throws(Failure) -> ClusterStatistics {
        var statistics = ClusterStatistics()
        for nsqd in nsqds {
            var arguments = ["format": "json", "include_clients": "false"]
            arguments["topic"] = topic
            arguments["channel"] = channel
            statistics.add(try await get(nsqd, "/stats", arguments))
        }
        return statistics
    }

    // MARK: Health

    /// Reads the health of a server of this package. The programs of NSQ have no such routes.
    ///
    /// - Parameter path: the route, such as `/readyz`.
    /// - Returns: the text of the response.
    /// - Throws: `Failure` if the server cannot be reached, or responds with another status than
    ///   200.
    package func health(of address: String, path: String) async throws(Failure) -> String {
        let (url, response) = try await response(of: address, path, [:])
        let text =
            String(decoding: response.body.prefix(1_000), as: UTF8.self)
            .split(separator: "\n").first.map(String.init) ?? ""
        guard response.status == 200 else {
            throw Failure(description: "\(url): status \(response.status): \(text)")
        }
        return text
    }

    // MARK: Requests

    private func get(
        _ address: String, _ path: String, _ arguments: [String: String] = [:],
        allowsNotFound: Bool = false
    ) async throws(Failure) -> JSONValue {
        let (url, response) = try await response(of: address, path, arguments)
        if response.status == 404, allowsNotFound { return .object([]) }
        guard response.status == 200 else {
            throw Failure(description: "\(url): status \(response.status)")
        }
        guard let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 6) else {
            throw Failure(description: "\(url): the response is not JSON")
        }
        return json
    }

    /// Sends a request.
    ///
    /// - Parameter body: the body of a `POST`; `nil` sends a `GET`.
    func response(
        of address: String, _ path: String, _ arguments: [String: String], body: [UInt8]? = nil
    ) async throws(Failure) -> (url: HTTPURL, response: HTTPClientResponse) {
        var url: HTTPURL
        do throws(NSQError) {
            url = try HTTPURL(lookupd: address)
        } catch {
            throw Failure(description: "\(error)")
        }
        url.target = (url.target == "/" ? "" : url.target) + path
        for (name, value) in arguments.sorted(by: { $0.key < $1.key }) { url.append(name, value) }
        do {
            let accept = (name: "Accept", value: "application/vnd.nsq; version=1.0")
            return (url, try await sender.send(url, headers: [accept], body: body).get())
        } catch {
            throw Failure(description: "\(url): \(error)")
        }
    }
}
