import ArgumentParser
import HTTP
import Logging
import NSQClient
import NSQWire
import PlayCounts
import Transport
import UVLoop

/// The options for publishing counts.
struct CallOptions: ParsableArguments {
    @Option(
        name: .customLong("publish-to"),
        help: ArgumentHelp(
            """
            Where to publish counts; repeatable. stdout writes one line of JSON per call, \
            http://HOST:PORT/PATH and https://… send one POST request per call, \
            nsq://HOST:PORT/TOPIC publishes one message per call. A user name and password in a URL \
            (https://USER:PASSWORD@HOST/PATH) are sent as basic authorization; they and the query \
            string appear neither in the log nor in the store. ${NAME} in these parts is replaced by \
            the environment variable NAME, with percent-encoding.
            """, valueName: "client"))
    var publishToTexts = ["stdout"]

    @Option(
        help: """
            A PEM file with the certificate authorities for https. Default: the system's \
            authorities.
            """)
    var publishRootCaFile: String?

    func validate() throws {
        var names: Set<String> = []
        let publishTo = try publishToTexts.map { try CallTarget(flag: $0) }
        for target in publishTo where !names.insert(target.name).inserted {
            throw ValidationError(
                "duplicate --publish-to=\(target.name) (user names, passwords and query strings do "
                    + "not distinguish two targets)")
        }
    }

    /// The parsed targets. ``validate()`` has already reported invalid ones.
    var publishTo: [CallTarget] {
        publishToTexts.compactMap { try? CallTarget(flag: $0) }
    }

    var targets: PublishTargets {
        PublishTargets(targets: publishTo, authorities: publishRootCaFile)
    }

    /// Renames clients under which an earlier version stored a URL with its secrets.
    func removeSecrets(from store: PlayStore) throws {
        for target in publishTo where target.name != target.text {
            try store.renameClient(target.text, to: target.name)
        }
    }
}

/// The destinations of the counts. ``clients(on:_:)`` creates a client for each.
struct PublishTargets: Sendable {
    var targets: [CallTarget]
    var authorities: String?
    /// The options of the connections to nsqds.
    var client = ClientOptions()

    /// Checks the files that the options name. Called before a command creates files of its own.
    ///
    /// - Throws: `UsageError` if the certificate authorities cannot be loaded.
    func checkFiles() throws {
        for case .https in targets.map(\.destination) { _ = try tls() }
    }

    /// - Throws: `UsageError` if the certificate authorities cannot be loaded.
    func clients(on loop: Loop, _ logger: Logger) throws -> [Client] {
        try targets.map { target in
            Client(target.name, sink: try sink(for: target, on: loop, logger))
        }
    }

    private func sink(
        for target: CallTarget, on loop: Loop, _ logger: Logger
    ) throws -> any Sink {
        switch target.destination {
        case .standardOutput: StdoutSink()
        case .http(let url): HTTPSink(to: url, authorization: target.authorization, on: loop)
        case .https(let url):
            HTTPSink(to: url, tls: try tls(), authorization: target.authorization, on: loop)
        case .nsq(let nsqd, let topic):
            NSQSink(to: nsqd, topic: topic, client: client, on: loop, logger: logger)
        }
    }

    private func tls() throws -> TLSContext {
        var options = TLSClientOptions()
        if let authorities { options.trust = .authorities(file: authorities) }
        do throws(TLSSetupError) {
            return try TLSContext(client: options)
        } catch {
            throw UsageError("\(error) (pass another --publish-root-ca-file)")
        }
    }
}
