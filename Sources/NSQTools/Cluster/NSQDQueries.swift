import HTTP
import NSQClient
import NSQWire
import TallyJSON
import UVLoop

/// Asks nsqds and nsqlookupds over HTTP for topics, producers and statistics.
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

    /// Returns the topics that at least one nsqlookupd knows, sorted.
    package func topics(of lookupds: [String]) async throws(Failure) -> [String] {
        var topics: Set<String> = []
        for lookupd in lookupds {
            let json = try await get(lookupd, "/topics")
            topics.formUnion(json["topics"].flatMap { [String](json: $0) } ?? [])
        }
        return topics.filter { TopicName($0) != nil }.sorted()
    }

    /// Returns the HTTP addresses of the nsqds that have a topic, sorted and without duplicates. An
    /// nsqlookupd without the topic has none.
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

    /// Returns the topics of nsqds, with their channels, summed up over the nsqds.
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

    // MARK: Requests

    private func get(
        _ address: String, _ path: String, _ arguments: [String: String] = [:],
        allowsNotFound: Bool = false
    ) async throws(Failure) -> JSONValue {
        var url: HTTPURL
        do throws(NSQError) {
            url = try HTTPURL(lookupd: address)
        } catch {
            throw Failure(description: "\(error)")
        }
        url.target = (url.target == "/" ? "" : url.target) + path
        for (name, value) in arguments.sorted(by: { $0.key < $1.key }) { url.append(name, value) }
        let response: HTTPClientResponse
        do {
            let accept = (name: "Accept", value: "application/vnd.nsq; version=1.0")
            response = try await sender.send(url, headers: [accept]).get()
        } catch {
            throw Failure(description: "\(url): \(error)")
        }
        if response.status == 404, allowsNotFound { return .object([]) }
        guard response.status == 200 else {
            throw Failure(description: "\(url): status \(response.status)")
        }
        guard let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 6) else {
            throw Failure(description: "\(url): the response is not JSON")
        }
        return json
    }
}
