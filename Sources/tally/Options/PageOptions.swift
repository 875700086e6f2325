import ArgumentParser
import LivePage
import Logging
import NSQBroker
import NSQWire
import PlayCounts
import UVLoop

/// The options for the page.
struct PageOptions: ParsableArguments {
    @Option(
        help: """
            The address of the page with the counts, as HOST:PORT, or none. Port 0 picks a free \
            port. Default: 127.0.0.1:4180, or no page if that port is in use.
            """)
    var pageAddress: String?

    @Option(
        help: """
            A host name under which the page answers, besides localhost and numeric addresses. \
            Can be repeated.
            """)
    var pageHost: [String] = []

    private static let defaultAddress = "127.0.0.1:4180"
    private static let none = ["none", ""]

    func validate() throws {
        guard let pageAddress, !Self.none.contains(pageAddress) else { return }
        guard SocketAddress(argument: pageAddress) != nil else {
            throw ValidationError(
                "invalid --page-address '\(pageAddress)': use HOST:PORT, such as \(Self.defaultAddress), or none"
            )
        }
    }

    /// - Throws: `ValidationError` if the page was requested.
    func expectNoPage(because reason: String) throws {
        guard let pageAddress, !Self.none.contains(pageAddress) else { return }
        throw ValidationError("--page-address cannot be used: \(reason)")
    }

    /// Starts the page.
    ///
    /// - Returns: `nil` if the page is disabled. Also `nil` if its default port is in use: counting
    ///   does not need the page, so this is not an error.
    func start(
        of store: PlayStore, _ settings: PageSettings, logger: Logger
    ) async throws -> LivePage? {
        let text = pageAddress ?? Self.defaultAddress
        guard !Self.none.contains(text) else { return nil }
        var settings = settings
        settings.hosts = pageHost
        do {
            let page = try await LivePage.start(
                at: SocketAddress(parsing: text), totals: try store.loadTotals(),
                settings: settings)
            logger.info("the counts are shown at \(page.url)")
            return page
        } catch let error as UVError {
            let message = "cannot start the page at \(text): \(error) (pass another --page-address)"
            guard pageAddress == nil else { throw UsageError(message) }
            logger.warning("\(message)")
            return nil
        }
    }
}

extension PageSettings {
    /// Sets the command line for publishing plays, which the page shows while there are no counts.
    ///
    /// - Parameter nsqd: the address to which a producer on this machine connects; `nil` if it is
    ///   unknown.
    mutating func setProduceCommand(nsqd: SocketAddress?, topic: TopicName) {
        let topicFlag = topic.text == "plays" ? [] : ["--topic=\(topic)"]
        produceCommand = nsqd.map { nsqd in
            (["tally", "produce", "--nsqd-tcp-address=\(nsqd)"] + topicFlag
                + ["--plays=6000", "--rate=100"])
                // Quotes arguments with characters that a shell would interpret, such as the
                // brackets of an IPv6 address.
                .map { $0.contains(where: "[]#".contains) ? "'\($0)'" : $0 }
                .joined(separator: " ")
        }
    }
}

extension LivePage {
    /// Starts to read the depth of the processor's channel from the broker every 500 ms, for the
    /// page.
    ///
    /// - Returns: the polling task, which runs until it is cancelled.
    func startQueuePolling(
        _ broker: EmbeddedBroker, topic: String, channel: String
    ) -> Task<Void, Never> {
        Task {
            repeat {
                var queue = await broker.statistics().queue(topic: topic, channel: channel)
                queue?.oldestAge = await broker.oldestAge(topic: topic, channel: channel)
                setQueueState(queue)
            } while (try? await Task.sleep(for: .milliseconds(500))) != nil
        }
    }
}

extension EmbeddedBroker.Statistics {
    fileprivate func queue(topic: String, channel: String) -> ChannelDepth? {
        guard let topic = topics.first(where: { $0.name == topic }) else { return nil }
        let channel = topic.channels.first { $0.name == channel }
        return ChannelDepth(
            depth: topic.depth + (channel?.depth ?? 0), inFlight: channel?.inFlightCount ?? 0,
            deferred: channel?.deferredCount ?? 0)
    }
}
