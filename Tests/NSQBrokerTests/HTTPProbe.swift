import BrokerCore
import Foundation
import Glibc
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

    struct Answer: Equatable {
        var status: Int
        var headers: [String: String]
        var body: String

        /// The body as JSON.
        func json() throws -> [String: Any] {
            try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any] ?? [:]
        }

        /// The status and the body of an error response.
        var failure: String { "\(status) \(body)" }
    }

    func get(_ target: String) throws -> Answer { try ask("GET", target) }

    func post(_ target: String, _ body: String = "") throws -> Answer {
        try ask("POST", target, Array(body.utf8))
    }

    /// Sends an HTTP/1.0 request, whose response ends with the connection and is not chunked.
    func ask(_ method: String, _ target: String, _ body: [UInt8] = []) throws -> Answer {
        try Self.ask(httpAddress, method, target, body)
    }

    static func ask(
        _ address: SocketAddress, _ method: String, _ target: String, _ body: [UInt8] = []
    ) throws -> Answer {
        let socket = try BlockingSocket(to: address)
        let head =
            "\(method) \(target) HTTP/1.0\r\nContent-Length: \(body.count)\r\n\r\n"
        socket.send(Array(head.utf8) + body)
        return parse(socket.receiveAll())
    }

    private static func parse(_ bytes: [UInt8]) -> Answer {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else {
            return Answer(status: 0, headers: [:], body: text)
        }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let sides = line.split(separator: ": ", maxSplits: 1)
            headers[sides[0].lowercased()] = sides.count > 1 ? String(sides[1]) : ""
        }
        let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return Answer(
            status: status ?? 0, headers: headers, body: String(text[end.upperBound...]))
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

/// A TCP socket with blocking calls.
final class BlockingSocket {
    let descriptor: Int32

    init(to address: SocketAddress) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var numeric = sockaddr_in()
        numeric.sin_family = sa_family_t(AF_INET)
        numeric.sin_port = in_port_t(address.port).bigEndian
        inet_pton(AF_INET, address.host, &numeric.sin_addr)
        limitReads(of: descriptor)
        let status = withUnsafePointer(to: numeric) { numeric in
            // SAFETY: the address of an AF_INET socket has the layout of sockaddr_in.
            numeric.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw UVError(code: -errno) }
    }

    /// Wraps a connected socket.
    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        limitReads(of: descriptor)
    }

    deinit { close(descriptor) }

    /// Shuts down the write side.
    func end() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Sends bytes until the peer stops reading.
    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Receives `count` bytes, or fewer if the peer closes its side.
    func receive(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < count {
            let size = min(piece.count, count - bytes.count)
            let got = repeatingInterrupted { recv(descriptor, &piece, size, 0) }
            guard got > 0 else { break }
            bytes += piece[..<got]
        }
        return bytes
    }

    func receiveAll() -> [UInt8] { receive(.max) }
}

/// A client that sends raw commands of NSQ's protocol.
struct RawClient {
    let socket: BlockingSocket

    init(to address: SocketAddress) throws {
        socket = try BlockingSocket(to: address)
        socket.send(Array("  V2".utf8))
    }

    /// Sends a command and waits for its `OK`.
    func ask(_ line: String, body: String? = nil) {
        tell(line, body: body)
        _ = answer()
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
    func answer() -> String {
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
