import Foundation
import TestKit
import Testing

@Suite struct `A bench` {
    /// As little of each load as there can be.
    private static let short = ["--seconds=0.02", "--max-messages=200", "--rounds=1", "--json"]

    private static let loads: Set = [
        "mpub_first", "mpub", "consume", "pub", "consume_singly", "consume_rdy_1",
        "both_published", "both_consumed", "lone_p50_us", "lone_p99_us", "lone_max_us",
    ]

    @Test func `starts a broker of its own, with the flags that are given for it`() throws {
        let folder = try TemporaryFolder()
        let figures = try Self.measure(["--data-path=\(folder.url.path)", "--sync=always"])
        #expect(Set(figures.keys) == ["embedded"])
        #expect(Set(figures["embedded"]!.keys) == Self.loads)
        #expect(figures["embedded"]!.values.allSatisfy { $0 > 0 })
        let journal = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(journal.contains { $0.hasPrefix("journal.") })
    }

    @Test func `compares two, load by load`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let figures = try Self.measure(["--against=\(address)"])
        #expect(Set(figures.keys) == ["embedded", address, "ratio"])
        let ratios = try #require(figures["ratio"])
        #expect(Set(ratios.keys) == Self.loads)
        for (load, ratio) in ratios {
            let expected = figures["embedded"]![load]! / figures[address]![load]!
            #expect(abs(ratio - expected) < 0.001, "\(load)")
        }
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test func `publishes over as many connections as it is told`() throws {
        let (broker, address) = try BuiltProcess.broker(["--log-level=debug"])
        _ = try Self.measure(["--nsqd-tcp-address=\(address)", "--connections=3"])
        broker.send(SIGINT)
        #expect(broker.status() == 0)
        // Four loads publish over three; their consumers have one each, lone messages two, and it
        // is looked once whether there is anybody.
        let clients = broker.lines(of: .standardError).count { $0.contains("TCP: new client") }
        #expect(clients == 4 * 3 + 4 + 2 + 1)
    }

    @Test(arguments: [
        ["--tls"], ["--deflate"], ["--snappy"], ["--tls", "--deflate"], ["--tls", "--snappy"],
    ])
    func `goes through layers`(layers: [String]) throws {
        let certificates = try TestCertificates()
        let required = layers.contains("--tls") ? "true" : "false"
        let (broker, address) = try BuiltProcess.broker([
            "--https-address=127.0.0.1:0", "--tls-cert=\(certificates.server.certificate)",
            "--tls-key=\(certificates.server.key)", "--tls-required=\(required)",
        ])
        let figures = try Self.measure(["--nsqd-tcp-address=\(address)"] + layers)
        #expect(Set(figures[address]!.keys) == Self.loads)
        #expect(figures[address]!.values.allSatisfy { $0 > 0 })
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test(arguments: ["TLS", "deflate", "snappy"])
    func `ends with 1 where a layer is declined, and names it`(layer: String) throws {
        let (broker, address) = try BuiltProcess.broker(["--deflate=false", "--snappy=false"])
        let bench = try BuiltProcess(
            ["bench", "--nsqd-tcp-address=\(address)", "--\(layer.lowercased())"] + Self.short)
        #expect(bench.status() == 1)
        #expect(bench.line(containing: "\(address): it declined \(layer)") != nil)
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test(arguments: [
        (["--deflate", "--snappy"], "do not go together"),
        (["--tls"], "--tls-cert"),
        (["--connections=0"], "--connections is from 1"),
        (["--nsqd-tcp-address=127.0.0.1:1", "--sync=always"], "leave --nsqd-tcp-address out"),
        (["--against=nonsense"], "nonsense"),
        (["--no-such-flag"], "no-such-flag"),
        (["--sync=perhaps"], "sync"),
    ])
    func `ends with 64 for a command line that is none, and says why`(
        arguments: [String], text: String
    ) throws {
        let bench = try BuiltProcess(["bench"] + arguments)
        #expect(bench.status() == 64)
        #expect(bench.line(containing: text) != nil)
    }

    @Test func `ends with 1 if its broker does not start`() throws {
        let bench = try BuiltProcess(["bench", "--data-path=/no/such/folder"])
        #expect(bench.status() == 1)
        #expect(bench.line(containing: "/no/such/folder") != nil)
    }

    private static func measure(_ arguments: [String]) throws -> [String: [String: Double]] {
        let bench = try BuiltProcess(["bench"] + arguments + short)
        #expect(
            bench.status() == 0, "\(bench.lines(of: .standardError).joined(separator: "\n"))")
        let text = bench.lines(of: .standardOutput).joined(separator: "\n")
        return try JSONDecoder().decode([String: [String: Double]].self, from: Data(text.utf8))
    }
}
