import ArgumentParser
import LivePage
import Logging
import NSQBroker
import PlayCounts
import UVLoop

/// What can be chosen about the page.
struct PageFlags: ParsableArguments {
    @Option(
        help: """
            Where the page with the counts listens, as HOST:PORT, or none. Port 0 is any free \
            one. Unless given, it is 127.0.0.1:4180, and there is no page if that is taken.
            """)
    var pageAddress: String?

    private static let standard = "127.0.0.1:4180"
    private static let none = ["none", ""]

    func validate() throws {
        guard let pageAddress, !Self.none.contains(pageAddress) else { return }
        guard SocketAddress(argument: pageAddress) != nil else {
            throw ValidationError(
                "--page-address \(pageAddress) is neither an address like \(Self.standard) nor none"
            )
        }
    }

    /// Starts the page.
    ///
    /// - Returns: `nil` if none is wanted, or nobody asked for the port and it is taken: counting
    ///   does not depend on being watched.
    func start(
        of store: PlayStore, _ settings: PageSettings, logger: Logger
    ) async throws -> LivePage? {
        let text = pageAddress ?? Self.standard
        guard !Self.none.contains(text) else { return nil }
        do {
            let page = try await LivePage.start(
                at: SocketAddress(parsing: text), totals: try store.totals(), settings: settings)
            logger.info("watch the counts at \(page.url)")
            return page
        } catch let error as UVError {
            let what = "no page at \(text): \(error); choose another with --page-address"
            guard pageAddress == nil else { throw UsageError(what) }
            logger.warning("\(what)")
            return nil
        }
    }
}

extension LivePage {
    /// Shows what the embedded broker holds for the processor, until the task is cancelled.
    func watch(_ broker: EmbeddedBroker, topic: String, channel: String) -> Task<Void, Never> {
        Task {
            repeat {
                queueIs(await broker.statistics().queue(topic: topic, channel: channel))
            } while (try? await Task.sleep(for: .milliseconds(500))) != nil
        }
    }
}

extension EmbeddedBroker.Statistics {
    fileprivate func queue(topic: String, channel: String) -> QueueState? {
        guard let topic = topics.first(where: { $0.name == topic }) else { return nil }
        let channel = topic.channels.first { $0.name == channel }
        return QueueState(
            depth: topic.depth + (channel?.depth ?? 0), inFlight: channel?.inFlightCount ?? 0,
            deferred: channel?.deferredCount ?? 0)
    }
}
