import Foundation
import TestKit
import TestTraits
import Testing

/// NSQ documentation, “nsqd”: an address that is not `host:port` is the path of a Unix-domain socket.
@Suite(.blocking) struct `nsqd on Unix-domain sockets` {
    private let folder: TemporaryFolder
    private let tcp: String
    private let http: String

    init() throws {
        folder = try TemporaryFolder()
        tcp = folder.url.appending(component: "tcp.sock").path
        http = folder.url.appending(component: "http.sock").path
    }

    /// Our broker, or the nsqd of `NSQD_PROGRAM`.
    private func nsqd(_ words: String...) throws -> BuiltProcess {
        try BuiltProcess(
            (RunningNSQD.isForeign ? [] : ["nsqd"]) + words,
            executable: RunningNSQD.named ?? BuiltProcess.tally, directory: folder.url)
    }

    private func start() throws -> BuiltProcess {
        let process = try nsqd("--tcp-address=\(tcp)", "-http-address", http)
        try #require(process.line(containing: "HTTP: listening on \(http)") != nil)
        #expect(process.line(containing: "TCP: listening on \(tcp)") != nil)
        return process
    }

    private func get(_ path: String) throws -> String {
        try ReceivedResponse(to: "GET", path, at: http).body
    }

    @Test func `serves both protocols and removes the sockets at exit`() throws {
        let broker = try start()
        let client = try BlockingSocket(to: tcp)
        client.send("  V2SUB plays counts\nPUB plays\n\0\0\0\u{4}playRDY 1\n")
        var printed = ""
        while !printed.hasSuffix("play") {
            let more = client.receive(atMost: 65_536)
            try #require(!more.isEmpty)
            printed += String(decoding: more, as: UTF8.self)
        }
        let info = try get("/info")
        #expect(info.contains(#""tcp_port":-1"#) && info.contains(#""http_port":-1"#))
        #expect(try get("/stats?format=json").contains(#""remote_address":"@""#))
        #expect(try get("/stats").contains("[V2 : "))
        #expect(try get("/config/tcp_address") == tcp)
        #expect(try get("/config/broadcast_tcp_port") == "0")
        #expect(broker.line(containing: "200 GET /info (@)") != nil)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
        #expect(!FileManager.default.fileExists(atPath: tcp))
        #expect(!FileManager.default.fileExists(atPath: http))
    }

    /// The error fills the socket buffer in the same loop iteration in which the connection closes.
    @Test(.disabled(if: RunningNSQD.isForeign, "it takes more than twenty seconds"))
    func `closes the connection of a non-reading client after an error`() throws {
        let broker = try start()
        let client = try BlockingSocket(to: tcp)
        let untrue = String(repeating: "FIN 0123456789abcdef\n", count: 4_500)
        client.send("  V2SUB plays counts\n\(untrue)NONSENSE\n")
        var statistics = ""
        let isGone = try eventually {
            statistics = try get("/stats?format=json")
            return statistics.contains(#""client_count":0"#)
        }
        #expect(isGone)
        #expect(statistics.contains(#""channel_name":"counts""#))
        #expect(client.receiveText().contains("E_FIN_FAILED"))
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `refuses to start if the socket file exists and names the remedy`() throws {
        let killed = try start()
        killed.send(SIGKILL)
        #expect(killed.status() == -SIGKILL)
        let next = try nsqd("--tcp-address=\(tcp)", "-http-address=")
        #expect(next.status() == 1)
        let last = next.lines(of: .standardError).last ?? ""
        #expect(last.contains("failed to instantiate nsqd - listen (\(tcp)) failed - "))
        #expect(last.contains("bind: address already in use"))
        #expect(RunningNSQD.isForeign || last.contains("; if no process listens there any more"))
        #expect(FileManager.default.fileExists(atPath: tcp))
    }

    @Test(.disabled(if: RunningNSQD.isForeign, "it leaves it there"))
    func `removes its first socket if the second cannot be created`() throws {
        try Data().write(to: URL(filePath: http))
        let broker = try nsqd("--tcp-address=\(tcp)", "-http-address=\(http)")
        #expect(broker.status() == 1)
        #expect(!FileManager.default.fileExists(atPath: tcp))
        #expect(FileManager.default.fileExists(atPath: http))
    }
}
