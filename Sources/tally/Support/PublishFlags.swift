import ArgumentParser
import HTTP
import Logging
import NSQWire
import PlayCounts
import Transport
import UVLoop

/// Where counts are published.
struct PublishFlags: ParsableArguments {
    @Option(
        help: """
            Where to publish counts; repeatable. stdout writes a line of JSON a call; \
            http://HOST:PORT/PATH and https://… post each call; nsq://HOST:PORT/TOPIC publishes \
            each as a message.
            """)
    var publishTo = [PublishTarget.stdout]

    @Option(
        help: """
            The authorities that https clients' certificates must come from; a PEM file. The \
            system's, unless given.
            """)
    var publishRootCaFile: String?

    func validate() throws {
        var names: Set<String> = []
        for target in publishTo where !names.insert(target.text).inserted {
            throw ValidationError("--publish-to=\(target.text) is given twice")
        }
    }

    var targets: PublishTargets {
        PublishTargets(targets: publishTo, authorities: publishRootCaFile)
    }
}

/// The clients to be made, once there is a loop for them.
struct PublishTargets: Sendable {
    var targets: [PublishTarget]
    var authorities: String?

    /// - Throws: `UsageError` if certificates cannot be verified.
    func clients(on loop: Loop, _ logger: Logger) throws -> [Client] {
        try targets.map { target in
            Client(target.text, sink: try sink(for: target, on: loop, logger))
        }
    }

    private func sink(
        for target: PublishTarget, on loop: Loop, _ logger: Logger
    ) throws -> any Sink {
        switch target.place {
        case .standardOutput: StdoutSink()
        case .http(let url): HTTPSink(to: url, on: loop)
        case .https(let url): HTTPSink(to: url, tls: try tls(), on: loop)
        case .nsq(let nsqd, let topic): NSQSink(to: nsqd, topic: topic, on: loop, logger: logger)
        }
    }

    private func tls() throws -> TLSContext {
        var options = TLSClientOptions()
        if let authorities { options.trust = .authorities(file: authorities) }
        do throws(TLSSetupError) {
            return try TLSContext(client: options)
        } catch {
            throw UsageError("\(error); give another --publish-root-ca-file")
        }
    }
}

/// One place that calls go to.
struct PublishTarget: ExpressibleByArgument, Sendable, CustomStringConvertible {
    enum Place: Sendable {
        case standardOutput
        case http(HTTPURL)
        case https(HTTPURL)
        case nsq(SocketAddress, TopicName)
    }

    /// As it was given: the client's name in the store.
    let text: String
    let place: Place

    static let stdout = PublishTarget(argument: "stdout")!

    init?(argument: String) {
        guard let place = Place(argument) else { return nil }
        text = argument
        self.place = place
    }

    var description: String { text }
    var defaultValueDescription: String { text }
}

extension PublishTarget.Place {
    fileprivate init?(_ text: String) {
        if text == "stdout" {
            self = .standardOutput
        } else if let url = HTTPURL(parsing: text) {
            self = .http(url)
        } else if let url = HTTPURL(parsing: text, scheme: .https) {
            self = .https(url)
        } else if let (nsqd, topic) = Self.nsq(text) {
            self = .nsq(nsqd, topic)
        } else {
            return nil
        }
    }

    private static func nsq(_ text: String) -> (SocketAddress, TopicName)? {
        let scheme = "nsq://"
        guard text.hasPrefix(scheme) else { return nil }
        let parts = text.dropFirst(scheme.count).split(
            separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let nsqd = try? SocketAddress(parsing: parts[0]),
            !nsqd.host.isEmpty, let topic = TopicName(String(parts[1]))
        else { return nil }
        return (nsqd, topic)
    }
}
