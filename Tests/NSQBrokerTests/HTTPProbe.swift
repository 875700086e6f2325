import BrokerCore
import Logging
import NSQWire
import TestKit
import Testing
import UVLoop

@testable import NSQBroker

/// A broker under test: one in this process, or the nsqd that `NSQD_PROGRAM` names. Tests that pass with
/// both assert nsqd's behaviour.
struct HTTPProbe {
    let httpAddress: SocketAddress
    let tcpAddress: SocketAddress
    let httpsAddress: SocketAddress?
    private let broker: EmbeddedBroker?
    private let foreign: RunningNSQD?

    /// `true` if the tests run against the nsqd of `NSQD_PROGRAM`.
    static var isForeign: Bool { RunningNSQD.isForeign }

    static func start(
        clock: Loop.Clock = .system, _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var options = ServerOptions()
        change(&options)
        return isForeign
            ? try HTTPProbe(named: options) : try await startOwn(clock: clock, change)
    }

    /// Starts a broker in this process, for behaviour that nsqd does not have.
    static func startOwn(
        clock: Loop.Clock = .system, _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var options = ServerOptions()
        change(&options)
        options.addresses.tcp = "127.0.0.1:0"
        options.addresses.http = "127.0.0.1:0"
        options.addresses.https = "127.0.0.1:0"
        options.log.level = .fatal
        options.core.setHeartbeatsForTests()
        var logger = Logger(label: "nsqd")
        logger.logLevel = .critical
        return try HTTPProbe(try await EmbeddedBroker.start(options, logger, clock: clock))
    }

    private init(_ broker: EmbeddedBroker) throws {
        httpAddress = try SocketAddress(parsing: broker.httpAddress!)
        tcpAddress = try SocketAddress(parsing: broker.tcpAddress)
        httpsAddress = try broker.httpsAddress.map { try SocketAddress(parsing: $0) }
        self.broker = broker
        foreign = nil
    }

    private init(named options: ServerOptions) throws {
        var options = options
        options.addresses.https = "127.0.0.1:0"
        let dataPath = options.disk.dataPath.isEmpty ? nil : options.disk.dataPath
        let nsqd = try RunningNSQD(options.nsqdFlags, dataPath: dataPath)
        httpAddress = try SocketAddress(parsing: nsqd.httpAddress)
        tcpAddress = try SocketAddress(parsing: nsqd.tcpAddress)
        httpsAddress =
            options.tls.certificateFile.isEmpty
            ? nil : try nsqd.httpsAddress.map { try SocketAddress(parsing: $0) }
        broker = nil
        foreign = nsqd
    }

    /// Advances the manual clock of the broker in this process, or waits for another nsqd.
    func advance(by duration: Duration) async throws {
        if let broker {
            await broker.host.advance(by: duration)
        } else {
            try await Task.sleep(for: duration)
        }
    }

    func stop() async {
        await broker?.stop()
        if let foreign { #expect(foreign.stop()) }
    }

    /// Returns a name that no other test and no other run uses.
    static func freshName() -> String {
        "t" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }

    // MARK: Requests

    func get(_ target: String) throws -> ReceivedResponse { try request("GET", target) }

    func post(_ target: String, _ body: String = "") throws -> ReceivedResponse {
        try request("POST", target, Array(body.utf8))
    }

    func request(
        _ method: String, _ target: String, _ body: [UInt8] = []
    ) throws -> ReceivedResponse {
        try ReceivedResponse(to: method, target, at: httpAddress, body: body)
    }

    // MARK: Statistics

    /// Returns a topic of `/stats`, or `nil`.
    func topic(_ name: String) throws -> [String: Any]? {
        let stats = try get("/stats?format=json&topic=\(name)").json()
        return (stats["topics"] as? [[String: Any]])?.first
    }

    /// Returns a channel of `/stats`, or `nil`.
    func channel(_ topic: String, _ name: String) throws -> [String: Any]? {
        let channels = try self.topic(topic)?["channels"] as? [[String: Any]]
        return channels?.first { $0["channel_name"] as? String == name }
    }
}

/// A client that sends raw commands of NSQ's protocol.
struct RawClient {
    let socket: BlockingSocket

    init(to address: SocketAddress) throws {
        socket = try BlockingSocket(to: address)
        socket.send("  V2")
    }

    /// Sends a command and waits for its `OK`.
    func ask(_ line: String, body: String? = nil) {
        tell(line, body: body)
        _ = response()
    }

    /// Sends a command without waiting for a response.
    func tell(_ line: String, body: String? = nil) {
        var bytes = Array("\(line)\n".utf8)
        if let body {
            bytes.append(bigEndian: Int32(body.utf8.count))
            bytes += body.utf8
        }
        socket.send(bytes)
    }

    /// Receives the text of the next response that is no heartbeat.
    func response() -> String {
        String(decoding: frame().dropFirst(4), as: UTF8.self)
    }

    /// Receives the ID and the body of the next message.
    func message() -> (id: String, body: String) {
        let frame = frame()
        guard frame.count > 30 else { return ("", "") }
        return (
            String(decoding: frame[14..<30], as: UTF8.self),
            String(decoding: frame[30...], as: UTF8.self)
        )
    }

    /// Receives the next frame without its size, and answers the heartbeats before it.
    private func frame() -> [UInt8] {
        while true {
            let size = socket.receive(4).reduce(0) { $0 << 8 | Int($1) }
            let frame = socket.receive(size)
            guard frame.dropFirst(4).elementsEqual("_heartbeat_".utf8) else { return frame }
            tell("NOP")
        }
    }
}

extension BrokerOptions {
    /// Replaces the default heartbeat interval by an hour: the broker does not disconnect the client of
    /// a test on a slow machine.
    mutating func setHeartbeatsForTests() {
        if heartbeatInterval == BrokerOptions().heartbeatInterval {
            heartbeatInterval = .seconds(3600)
        }
    }
}
