import Foundation
import Logging
import TallyBasics
import TestKit
import Testing
import UVLoop

@testable import NSQLookup

/// An nsqlookupd under test: one in this process, or the one that `NSQLOOKUPD_PROGRAM` names. Tests that
/// pass with both assert nsqlookupd's behaviour.
struct LookupProbe {
    let tcpAddress: String
    let httpAddress: String
    private let own: EmbeddedLookup?
    private let foreign: BuiltProcess?

    static let program = ProcessInfo.processInfo.environment["NSQLOOKUPD_PROGRAM"]

    /// `true` if the tests run against the program of `NSQLOOKUPD_PROGRAM`.
    static var isForeign: Bool { program != nil }

    static func start(
        clock: Loop.Clock = .system, _ change: (inout LookupServerOptions) -> Void = { _ in }
    ) async throws -> LookupProbe {
        guard let program else { return try await startOwn(clock: clock, change) }
        var options = LookupServerOptions()
        change(&options)
        let limits = options.limits
        let (process, tcp) = try BuiltProcess.listening(
            [
                "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
                "--broadcast-address=\(options.broadcastAddress)",
                "--inactive-producer-timeout=\(limits.inactiveProducerTimeout.milliseconds)ms",
                "--tombstone-lifetime=\(limits.tombstoneLifetime.milliseconds)ms",
            ], executable: URL(filePath: program))
        let mark = "HTTP: listening on "
        let line = try #require(process.line(containing: mark))
        let http = String(line[line.range(of: mark)!.upperBound...])
        return LookupProbe(tcpAddress: tcp, httpAddress: http, own: nil, foreign: process)
    }

    /// Starts an nsqlookupd in this process, for behaviour that the original does not have.
    static func startOwn(
        clock: Loop.Clock = .system, logger: Logger = .silent,
        _ change: (inout LookupServerOptions) -> Void = { _ in }
    ) async throws -> LookupProbe {
        var options = LookupServerOptions()
        change(&options)
        options.tcpAddress = "127.0.0.1:0"
        options.httpAddress = "127.0.0.1:0"
        let lookup = try await EmbeddedLookup.start(options, logger: logger, clock: clock)
        return LookupProbe(
            tcpAddress: lookup.tcpAddress, httpAddress: lookup.httpAddress, own: lookup,
            foreign: nil)
    }

    /// Advances the manual clock in this process, or waits for another program.
    func advance(by duration: Duration) async throws {
        if let own {
            await own.advance(by: duration)
        } else {
            try await Task.sleep(for: duration)
        }
    }

    func stop() async {
        await own?.stop()
        guard let foreign else { return }
        foreign.send(SIGTERM)
        _ = foreign.status()
    }

    // MARK: Requests

    func get(_ target: String) throws -> ReceivedResponse {
        try ReceivedResponse(to: "GET", target, at: httpAddress)
    }

    func post(_ target: String) throws -> ReceivedResponse {
        try ReceivedResponse(to: "POST", target, at: httpAddress)
    }

    /// Returns an array of the object that a `GET` returns, sorted.
    func names(_ member: String, _ target: String) throws -> [String] {
        (try get(target).json()[member] as? [String] ?? []).sorted()
    }

    /// Returns the producers that a `GET` returns.
    func producers(_ target: String) throws -> [[String: Any]] {
        try get(target).json()["producers"] as? [[String: Any]] ?? []
    }

    /// Connects a client that has sent the magic.
    func client() throws -> LookupClient { try LookupClient(to: tcpAddress) }

    /// Connects an nsqd.
    func nsqd(_ host: String = "127.0.0.1", http: Int = 4151) throws -> LookupClient {
        let client = try client()
        client.identify(
            #"{"version":"1.3.0","tcp_port":4150,"http_port":\#(http),"hostname":"h","#
                + #""broadcast_address":"\#(host)"}"#)
        #expect(client.response()?.contains("tcp_port") == true)
        return client
    }
}

/// A client of nsqlookupd's TCP protocol.
struct LookupClient {
    let socket: BlockingSocket

    init(to address: String, magic: String = "  V1") throws {
        socket = try BlockingSocket(to: address)
        socket.send(magic)
    }

    var address: String { "127.0.0.1:\(socket.port)" }

    /// Sends a line and waits for the response.
    func ask(_ line: String) -> String? {
        socket.send("\(line)\n")
        return response()
    }

    func identify(_ body: String) { identify(length: Int32(body.utf8.count), body) }

    func identify(length: Int32, _ body: String) {
        var bytes = Array("IDENTIFY\n".utf8)
        withUnsafeBytes(of: length.bigEndian) { bytes += $0 }
        socket.send(bytes + Array(body.utf8))
    }

    /// Receives the next response; `nil` if the connection is closed.
    func response() -> String? {
        responseBytes().map { String(decoding: $0, as: UTF8.self) }
    }

    func responseBytes() -> [UInt8]? {
        let size = socket.receive(4)
        guard size.count == 4 else { return nil }
        return socket.receive(size.reduce(0) { $0 << 8 | Int($1) })
    }
}

extension Logger {
    /// A logger that discards all lines.
    static var silent: Logger { Logger(label: "nsqlookupd") { _ in SwiftLogNoOpLogHandler() } }
}

extension Trait where Self == ConditionTrait {
    /// Skips a test of behaviour that the original does not have; the comment describes the original's.
    static func ours(_ original: Comment) -> Self {
        .disabled(if: LookupProbe.isForeign, original)
    }
}
