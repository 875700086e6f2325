import BrokerCore
import Foundation
import Logging
import NSQBroker
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

private func ask(_ broker: EmbeddedBroker, _ method: String, _ path: String, _ body: String = "")
    throws -> String
{
    try ReceivedResponse(to: method, path, at: broker.httpAddress!, body: body.utf8).summary
}

@Suite(.blocking) struct `The connection limit` {
    @Test func `refuses further TCP clients with an error until a connection ends`() async throws {
        let broker = try await quietBroker { $0.maxConnections = 1 }
        let address = try SocketAddress(parsing: broker.tcpAddress)
        var first: RawClient? = try RawClient(to: address)
        first!.ask("PUB plays", body: "one")
        let second = try RawClient(to: address)
        let refusal = "E_INVALID connection refused number of clients exceeds limit of 1"
        #expect(second.socket.receiveText().hasSuffix(refusal))
        first!.ask("PUB plays", body: "two")
        #expect(await broker.statistics().topics.first?.messageCount == 2)
        first = nil
        #expect(await eventually { await broker.statistics().connections == 0 })
        let third = try RawClient(to: address)
        third.tell("PUB plays", body: "three")
        #expect(third.socket.receive(10).suffix(2) == Array("OK".utf8))
        await broker.stop()
    }

    @Test func `applies to HTTP connections, too`() async throws {
        let broker = try await quietBroker { $0.maxConnections = 1 }
        let address = try SocketAddress(parsing: broker.httpAddress!)
        let first = try BlockingSocket(to: address)
        first.send("GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(!first.receive(1).isEmpty)
        let second = try BlockingSocket(to: address).receiveText()
        #expect(second.hasPrefix("HTTP/1.1 503 "))
        #expect(second.hasSuffix(#"{"message":"TOO_MANY_CONNECTIONS"}"#))
        await broker.stop()
    }
}

@Suite(.blocking) struct `The limits of topics and channels` {
    @Test func `refuse new topics and channels over HTTP and keep existing ones usable`()
        async throws
    {
        let broker = try await quietBroker {
            $0.core.maxTopics = 1
            $0.core.maxChannelsPerTopic = 1
        }
        #expect(try ask(broker, "POST", "/pub?topic=plays", "kept") == "200 OK")
        #expect(try ask(broker, "POST", "/channel/create?topic=plays&channel=a") == "200 ")
        let noTopic = #"503 {"message":"TOO_MANY_TOPICS"}"#
        for path in ["/pub", "/mpub", "/topic/create"] {
            #expect(try ask(broker, "POST", "\(path)?topic=likes", "x") == noTopic)
        }
        #expect(
            try ask(broker, "POST", "/topic/empty?topic=likes")
                == #"404 {"message":"TOPIC_NOT_FOUND"}"#)
        #expect(
            try ask(broker, "POST", "/channel/create?topic=plays&channel=b")
                == #"503 {"message":"TOO_MANY_CHANNELS"}"#)
        #expect(
            try ask(broker, "POST", "/channel/pause?topic=plays&channel=b")
                == #"404 {"message":"CHANNEL_NOT_FOUND"}"#)
        for path in ["/pub", "/mpub", "/topic/create"] {
            #expect(try ask(broker, "POST", "\(path)?topic=plays", "y").hasPrefix("200"))
        }
        #expect(try ask(broker, "POST", "/channel/create?topic=plays&channel=a") == "200 ")
        let statistics = await broker.statistics()
        #expect(statistics.topics.map(\.name) == ["plays"])
        #expect(statistics.topics[0].channels.map(\.depth) == [3])
        await broker.stop()
    }
}

/// NSQ documentation, “nsqd”, HTTP API: `GET /config/…`, for every option of 1.3.0.
@Suite(.blocking) struct `Options` {
    @Test func `are returned under their configuration file names`() async throws {
        let folder = try TemporaryFolder()
        let broker = try await quietBroker {
            $0.nodeID = 7
            $0.addresses.broadcast = "nsqd.example"
            $0.addresses.broadcastTCPPort = 9
            $0.latency.percentiles = [1, 0.99, 0.5]
            $0.lookup.tcpAddresses = ["127.0.0.1:1"]
            $0.tls.minVersion = .tls12
            $0.disk.dataPath = folder.url.path
        }
        let values = [
            "id": "7", "broadcast_address": "nsqd.example", "broadcast_tcp_port": "9",
            "e2e_processing_latency_percentiles": "[1,0.99,0.5]",
            "e2e_processing_latency_window_time": "600000000000",
            "nsqlookupd_tcp_addresses": #"["127.0.0.1:1"]"#, "auth_http_addresses": "[]",
            "tls_min_version": "771", "tls_required": "0", "tls_cert": "", "deflate": "true",
            "snappy": "true", "max_deflate_level": "6", "log_level": "2", "log_prefix": "[nsqd] ",
            "data_path": folder.url.path, "max_bytes_per_file": "104857600", "sync_every": "2500",
            "sync_timeout": "2000000000", "https_address": "0.0.0.0:4152",
            "statsd_prefix": "nsq.%s", "statsd_mem_stats": "true",
            "queue_scan_selection_count": "20", "http_client_connect_timeout": "2000000000",
        ]
        for (name, value) in values {
            #expect(try ask(broker, "GET", "/config/\(name)") == "200 \(value)", "\(name)")
        }
        for name in ["config", "verbose", "worker_id", "node_id", "lookupd_tcp_address"] {
            #expect(
                try ask(broker, "GET", "/config/\(name)") == #"400 {"message":"INVALID_OPTION"}"#)
        }
        #expect(
            try ask(broker, "GET", "/info").contains(#""broadcast_address":"nsqd.example""#))
        await broker.stop()
    }

    @Test func `call the change handler after a change over HTTP`() throws {
        let loop = try Loop()
        defer { loop.close() }
        let logger = Logger(label: "nsqd") { _ in SwiftLogNoOpLogHandler() }
        let server = try BrokerServer(options: ServerOptions(), on: loop, logger: logger)
        var told: [String] = []
        server.onOptionsChange = { [unowned server] before in
            told += before.lookup.tcpAddresses + server.options.lookup.tcpAddresses
        }
        let endpoint = Endpoint.tcp(SocketAddress(host: "127.0.0.1", port: 0))
        let listener = try Listener(on: loop, at: endpoint)
        server.serveHTTP(on: listener)
        let client = try BlockingSocket(to: listener.address)
        let path = "/config/nsqlookupd_tcp_addresses"
        client.send("PUT \(path) HTTP/1.0\r\nContent-Length: 7\r\n\r\n[\"a:1\"]")
        let timer = Timer(on: loop)
        timer.start(after: .milliseconds(1), repeating: .milliseconds(1)) {
            guard !told.isEmpty else { return }
            timer.close()
            server.stop { loop.stop() }
        }
        loop.run()
        #expect(told == ["a:1"])
    }

    @Test func `have nsqd's defaults`() throws {
        let options = ServerOptions()
        #expect((0..<1024).contains(options.nodeID))
        #expect(options.addresses.tcp == "0.0.0.0:4150")
        #expect(options.statsd.packetBytes == 508)
        #expect(options.tls.server == nil)
        _ = try options.validated()
    }
}

@Suite(.blocking) struct `Validating options` {
    private func reason(_ change: (inout ServerOptions) -> Void) -> String? {
        var options = ServerOptions()
        change(&options)
        do throws(SetupError) {
            _ = try options.validated()
        } catch {
            return error.description
        }
        return nil
    }

    @Test func `fails with nsqd's messages for contradictory options`() {
        for level in [0, 10] {
            #expect(
                reason { $0.core.maxDeflateLevel = level } == "--max-deflate-level must be [1,9]")
        }
        for id in [-1, 1024] {
            #expect(reason { $0.nodeID = id } == "--node-id must be [0,1024)")
        }
        for percentile in [0, 1.5, -1, .nan] {
            #expect(
                reason { $0.latency.percentiles = [percentile] }
                    == "invalid E2E processing latency percentile: \(percentile)")
        }
        #expect(reason { $0.auth.requestMethod = "put" }?.contains("must be post or get") == true)
        let noTLS = "cannot require TLS client connections without TLS key and cert"
        #expect(reason { $0.tls.requirement = .everywhere }?.hasPrefix(noTLS) == true)
        #expect(reason { $0.tls.clientAuthPolicy = "require" }?.hasPrefix(noTLS) == true)
        #expect(
            reason { $0.tls.certificateFile = "x" } == "TLS needs both --tls-cert and --tls-key")
        #expect(
            reason { $0.core.maxMessageBytes = 0 }
                == "--max-msg-size must be between 1 and 1073741823, not 0")
        #expect(
            reason { $0.core.messageTimeout = .zero } == "--msg-timeout must be more than 0, not 0s"
        )
    }

    @Test func `sets the options that follow from others`() throws {
        var options = ServerOptions()
        options.tls.certificateFile = "cert.pem"
        options.tls.keyFile = "key.pem"
        options.tls.clientAuthPolicy = "require-verify"
        let settled = try options.validated()
        #expect(settled.tls.requirement == .everywhere)
        #expect(settled.core.tlsRequired)
        #expect(settled.tls.server?.clientAuth == .requireVerified)
    }
}
