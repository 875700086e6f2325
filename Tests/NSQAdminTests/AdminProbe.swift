import Foundation
import LivePage
import Logging
import NSQAdmin
import NSQBroker
import NSQTesting
import TestKit
import Testing

/// An nsqadmin under test: one in this process, or the one that `NSQADMIN_PROGRAM` names. Tests that pass
/// with both assert nsqadmin's behaviour.
struct AdminProbe {
    let address: String
    private let own: EmbeddedAdmin?
    private let foreign: BuiltProcess?

    static let program = ProcessInfo.processInfo.environment["NSQADMIN_PROGRAM"]

    /// `true` if the tests run against the program of `NSQADMIN_PROGRAM`.
    static var isForeign: Bool { program != nil }

    static func start(_ change: (inout AdminOptions) -> Void) async throws -> AdminProbe {
        guard let program else { return try await startOwn(change) }
        var options = AdminOptions()
        change(&options)
        let lists = [
            ("lookupd-http-address", options.lookupds), ("nsqd-http-address", options.nsqds),
            ("admin-user", options.adminUsers),
        ].flatMap { flag, values in values.map { "--\(flag)=\($0)" } }
        let (process, address) = try BuiltProcess.listening(
            [
                "--http-address=127.0.0.1:0", "--base-path=\(options.basePath)",
                "--allow-config-from-cidr=\(options.allowConfigFrom)",
                "--notification-http-endpoint=\(options.notificationEndpoint)",
                "--graphite-url=\(options.graphite.url)",
            ] + lists, executable: URL(filePath: program), mark: "HTTP: listening on ")
        return AdminProbe(address: address, own: nil, foreign: process)
    }

    /// Starts an nsqadmin in this process, for behaviour that the original does not have.
    static func startOwn(_ change: (inout AdminOptions) -> Void) async throws -> AdminProbe {
        var options = AdminOptions()
        change(&options)
        options.httpAddress = "127.0.0.1:0"
        let admin = try await EmbeddedAdmin.start(
            options, logger: Logger(label: "nsqadmin") { _ in SwiftLogNoOpLogHandler() })
        return AdminProbe(address: admin.httpAddress, own: admin, foreign: nil)
    }

    func stop() async {
        await own?.stop()
        guard let foreign else { return }
        foreign.send(SIGTERM)
        _ = foreign.status()
    }

    // MARK: Requests

    func send(
        _ method: String, _ target: String, _ body: String = "", headers: String = ""
    ) throws -> ReceivedResponse {
        try ReceivedResponse(
            to: method, target, at: address, headers: headers, body: body.utf8)
    }

    func get(_ target: String) throws -> ReceivedResponse { try send("GET", target) }

    func json(_ target: String) throws -> [String: Any] { try get(target).json() }

    /// Polls the JSON of a target until `isTrue` holds for it. Polling is necessary, because nsqds
    /// register at nsqlookupds some time after a change.
    func waits(for target: String, until isTrue: ([String: Any]) -> Bool) -> Bool {
        eventually { (try? json(target)).map(isTrue) ?? false }
    }
}

/// A cluster with an nsqadmin that finds it by nsqlookupds.
func withAdmin(
    brokers: Int = 2, lookupds: Int = 1, _ change: (inout AdminOptions) -> Void = { _ in },
    _ body: (AdminProbe, NSQCluster) async throws -> Void
) async throws {
    var configuration = EmbeddedBroker.Configuration()
    configuration.httpAddress = "127.0.0.1:0"
    configuration.logger.logLevel = .critical
    try await withCluster(
        brokers: brokers, lookupds: lookupds, configuration: configuration
    ) { cluster in
        let admin = try await AdminProbe.start { options in
            options.lookupds = cluster.lookupdAddresses
            if lookupds == 0 { options.nsqds = cluster.nodes.compactMap(\.embedded.httpAddress) }
            change(&options)
        }
        do {
            try await body(admin, cluster)
        } catch {
            await admin.stop()
            throw error
        }
        await admin.stop()
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips a test of behaviour that the original does not have; the comment describes the original's.
    static func ours(_ original: Comment) -> Self {
        .disabled(if: AdminProbe.isForeign, original)
    }
}
