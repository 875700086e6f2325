import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `tally bench` {
    /// The shortest possible workloads.
    private static let short = ["--seconds=0.02", "--max-messages=200", "--rounds=1", "--json"]

    private static let workloads: Set = [
        "mpub_first", "mpub", "consume", "pub", "consume_singly", "consume_rdy_1",
        "both_published", "both_consumed", "lone_p50_us", "lone_p99_us", "lone_max_us",
    ]

    @Test func `starts an embedded broker with the given flags`() throws {
        let folder = try TemporaryFolder()
        let figures = try Self.measure(["--data-path=\(folder.url.path)", "--sync=always"])
        #expect(Set(figures.keys) == ["embedded"])
        #expect(Set(figures["embedded"]!.keys) == Self.workloads)
        #expect(figures["embedded"]!.values.allSatisfy { $0 > 0 })
        let journal = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(journal.contains { $0.hasPrefix("journal.") })
    }

    @Test func `compares two brokers in every workload`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let figures = try Self.measure(["--against=\(address)"])
        #expect(Set(figures.keys) == ["embedded", address, "ratio"])
        let ratios = try #require(figures["ratio"])
        #expect(Set(ratios.keys) == Self.workloads)
        for (load, ratio) in ratios {
            let expected = figures["embedded"]![load]! / figures[address]![load]!
            #expect(abs(ratio - expected) < 0.001, "\(load)")
        }
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test func `publishes over the given number of connections`() throws {
        let (broker, address) = try BuiltProcess.broker(["--log-level=debug"])
        _ = try Self.measure(["--nsqd-tcp-address=\(address)", "--connections=3"])
        broker.send(SIGINT)
        #expect(broker.status() == 0)
        // Four workloads publish over three connections each, and four consume over one each. The
        // workload for the latency needs two connections, and the check before the workloads one.
        let clients = broker.lines(of: .standardError).count { $0.contains("TCP: new client") }
        #expect(clients == 4 * 3 + 4 + 2 + 1)
    }

    @Test(arguments: [
        ["--tls"], ["--deflate"], ["--snappy"], ["--tls", "--deflate"], ["--tls", "--snappy"],
    ])
    func `measures through TLS and compression`(layers: [String]) throws {
        let certificates = try TestCertificates()
        let required = layers.contains("--tls") ? "true" : "false"
        let (broker, address) = try BuiltProcess.broker([
            "--https-address=127.0.0.1:0", "--tls-cert=\(certificates.server.certificate)",
            "--tls-key=\(certificates.server.key)", "--tls-required=\(required)",
        ])
        let figures = try Self.measure(["--nsqd-tcp-address=\(address)"] + layers)
        #expect(Set(figures[address]!.keys) == Self.workloads)
        #expect(figures[address]!.values.allSatisfy { $0 > 0 })
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test(arguments: ["TLS", "deflate", "snappy"])
    func `exits with 1 and names a declined feature`(layer: String) throws {
        let (broker, address) = try BuiltProcess.broker(["--deflate=false", "--snappy=false"])
        let bench = try BuiltProcess(
            ["bench", "--nsqd-tcp-address=\(address)", "--\(layer.lowercased())"] + Self.short)
        #expect(bench.status() == 1)
        #expect(bench.line(containing: "\(address): nsqd declined \(layer)") != nil)
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test(arguments: [
        (["--deflate", "--snappy"], "cannot be combined"),
        (["--tls"], "--tls-cert"),
        (["--connections=0"], "--connections must be between 1"),
        (["--nsqd-tcp-address=127.0.0.1:1", "--sync=always"], "remove --nsqd-tcp-address"),
        (["--against=nonsense"], "nonsense"),
        (["--no-such-flag"], "no-such-flag"),
        (["--sync=perhaps"], "sync"),
    ])
    func `exits with 64 and the reason for an invalid command line`(
        arguments: [String], text: String
    ) throws {
        let bench = try BuiltProcess(["bench"] + arguments)
        #expect(bench.status() == 64)
        #expect(bench.line(containing: text) != nil)
    }

    @Test func `exits with 1 if the embedded broker cannot start`() throws {
        let bench = try BuiltProcess(["bench", "--data-path=/no/such/folder"])
        #expect(bench.status() == 1)
        #expect(bench.line(containing: "/no/such/folder") != nil)
    }

    private static func measure(_ arguments: [String]) throws -> [String: [String: Double]] {
        let bench = try BuiltProcess(["bench"] + arguments + short)
        #expect(
            bench.status() == 0, "\(bench.lines(of: .standardError).joined(separator: "\n"))")
        let text = bench.lines(of: .standardOutput).joined(separator: "\n")
        return try [String: [String: Double]](json: text.utf8)
    }
}
