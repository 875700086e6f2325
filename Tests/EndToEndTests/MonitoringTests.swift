import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `Monitoring` {
    @Test func `has the numbers that the store has, in valid text at both addresses`() throws {
        let serve = try RunningServe()
        try serve.produce("--plays=3000", "--videos=30")
        var page = try serve.metrics()
        #expect(
            try eventually {
                page = try serve.metrics()
                return page.value("tally_plays_counted_total") == 3_000
            })
        #expect(try counted(in: serve.store).plays == 3_000)
        #expect(page.value("tally_store_plays") == 3_000)
        #expect(page.value("tally_store_commit_plays_sum") == 3_000)
        #expect(page.value("tally_store_videos") == 30)
        #expect(page.value("tally_nsqd_connections") == 1)
        #expect(page.value("tally_store_healthy") == 1)
        // Each video had 99 immediate counts, which share calls.
        let latencies = page.value(#"tally_immediate_latency_seconds_count{client="stdout"}"#)
        #expect(try #require(latencies) >= 30)
        for metrics in [page, try serve.brokerMetrics()] {
            #expect(metrics.defects == [])
            #expect(metrics.value("process_cpu_seconds_total") != nil)
        }
        try serve.stop()
    }

    @Test func `has a dashboard and a guide that name exactly the metrics that exist`() throws {
        let serve = try RunningServe()
        try serve.produce("--plays=100", "--videos=30")
        // The depth of the queue is known after the first poll.
        var page = try serve.metrics()
        let isComplete = try eventually {
            page = try serve.metrics()
            return page.families.keys.contains("tally_queue_messages")
        }
        #expect(isComplete)
        let broker = try serve.brokerMetrics()
        let names = page.names.union(broker.names)
        let panels = try Dashboard.panels()
        #expect(panels.count > 8)
        for panel in panels {
            #expect(!panel.queries.isEmpty, "\(panel.title)")
            for query in panel.queries {
                let used = Self.metricNames(in: query)
                #expect(!used.isEmpty && used.isSubset(of: names), "\(panel.title): \(query)")
            }
        }
        let guide = try Repository.text("Sources/tally/tally.docc/Monitoring.md")
        let described = Self.metricNames(in: guide)
        #expect(described.subtracting(names) == [])
        let own = page.families.keys.filter { $0.hasPrefix("tally_") }
        #expect(Set(own).subtracting(described) == [])
        try serve.stop()
    }

    @Test func `answers 503 with the reason while the store is locked`() throws {
        let serve = try RunningServe()
        #expect(try eventually { try serve.health().status == 200 })
        var lock: ForeignLock?
        let isLocked = eventually {
            lock = ForeignLock.ofWriters(serve.store)
            return lock != nil
        }
        #expect(isLocked)
        let reason = "it is in use by another process"
        #expect(try eventually { try serve.health().body.contains(reason) })
        #expect(try serve.health().status == 503)
        #expect(try serve.metrics().value("tally_store_healthy") == 0)
        lock?.release()
        #expect(try eventually { try serve.health().status == 200 })
        try serve.stop()
    }

    @Test func `of a processor has the depth of the queue at an nsqd`() throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let mark = "HTTP: listening on "
        let line = try #require(broker.line(containing: mark))
        let http = line[try #require(line.range(of: mark)).upperBound...]
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--nsqd-http-address=\(http)",
            "--page-address=127.0.0.1:0", "--store=\(folder.path("counts.sqlite"))",
        ])
        let page = try Page(of: process)
        // The channel exists when the processor has subscribed.
        let isPaused = try eventually {
            let pause = "/channel/pause?topic=plays&channel=counts"
            return try ReceivedResponse(to: "POST", pause, at: http).status == 200
        }
        #expect(isPaused)
        let produce = try BuiltProcess(["produce", "--nsqd-tcp-address=\(address)", "--plays=150"])
        #expect(produce.status() == 0)
        let hasDepth = try eventually {
            let metrics = Metrics(try page.get("metrics").body)
            return metrics.value(#"tally_queue_messages{state="queued"}"#) == 150
        }
        #expect(hasDepth)
        for process in [process, broker] {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }

    @Test func `answers 503 while there is no connection to an nsqd`() throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--page-address=127.0.0.1:0",
            "--store=\(folder.path("counts.sqlite"))",
        ])
        let page = try Page(of: process)
        #expect(try eventually { try page.get("healthz").body == "ok\n" })
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
        let problem = "no connection to an nsqd\n"
        #expect(try eventually { try page.get("healthz").body == problem })
        let metrics = Metrics(try page.get("metrics").body)
        #expect(metrics.value("tally_nsqd_connections") == 0)
        #expect(metrics.defects == [])
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    private static func metricNames(in text: String) -> Set<String> {
        Set(text.matches(of: /\b(?:tally|nsqd|process)_[a-z0-9_]+\b/).map { String($0.output) })
    }
}

/// A running `tally serve` with a page and an HTTP API.
private struct RunningServe {
    let store: String
    private let folder: TemporaryFolder
    private let process: BuiltProcess
    private let nsqd: String
    private let api: String
    private let page: Page

    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("counts.sqlite")
        (process, nsqd) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--page-address=127.0.0.1:0", "--store=\(store)",
        ])
        let line = try #require(process.line(containing: "HTTP: listening on "))
        api = String(line.split(separator: " ").last!)
        page = try Page(of: process)
    }

    func produce(_ arguments: String...) throws {
        let producer = try BuiltProcess(["produce", "--nsqd-tcp-address=\(nsqd)"] + arguments)
        #expect(producer.status() == 0)
    }

    func metrics() throws -> Metrics { Metrics(try page.get("metrics").body) }

    func brokerMetrics() throws -> Metrics {
        Metrics(try ReceivedResponse(to: "GET", "/metrics", at: api).body)
    }

    func health() throws -> ReceivedResponse { try page.get("healthz") }

    func stop() throws {
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }
}

/// The HTTP server of the page of a process.
private struct Page {
    private let address: String

    init(of process: BuiltProcess) throws {
        let line = try #require(process.line(containing: "the counts are shown at "))
        address = try pageAddress(in: line)
    }

    func get(_ path: String) throws -> ReceivedResponse {
        try ReceivedResponse(to: "GET", "/\(path)", at: address, headers: "Host: localhost\r\n")
    }
}

/// The parsed response of `/metrics`, in the text format of Prometheus.
private struct Metrics {
    /// The type of each family.
    private(set) var families: [String: String] = [:]
    /// The violations of the format in the text.
    private(set) var defects: [String] = []
    private var samples: [String: Double] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if words.starts(with: ["#", "TYPE"]) {
                if families.updateValue(words[3], forKey: words[2]) != nil {
                    defects.append("second family: \(line)")
                }
            } else if !line.hasPrefix("#") {
                addSample(String(line))
            }
        }
    }

    private mutating func addSample(_ line: String) {
        guard let space = line.lastIndex(of: " "),
            let value = Double(line[line.index(after: space)...])
        else { return defects.append("no sample: \(line)") }
        let key = String(line[..<space])
        if samples.updateValue(value, forKey: key) != nil { defects.append("duplicate: \(key)") }
        let name = Self.name(of: key)
        if families[Self.family(of: name)] == nil && families[name] == nil {
            defects.append("no family: \(key)")
        }
    }

    /// The names of all samples, as queries have them.
    var names: Set<String> { Set(samples.keys.map(Self.name)).union(families.keys) }

    func value(_ key: String) -> Double? { samples[key] }

    private static func name(of key: String) -> String { String(key.prefix { $0 != "{" }) }

    /// The name without the suffix of a histogram's or summary's sample.
    private static func family(of name: String) -> String {
        let suffix = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) } ?? ""
        return String(name.dropLast(suffix.count))
    }
}

/// The panels of the dashboard for Grafana.
private struct Dashboard: Decodable {
    struct Panel: Decodable {
        struct Target: Decodable { let expr: String }
        let title: String
        let targets: [Target]?

        var queries: [String] { (targets ?? []).map(\.expr).filter { !$0.isEmpty } }
    }

    let panels: [Panel]

    static func panels() throws -> [Panel] {
        let text = try Repository.text("Fixtures/grafana/tally.json")
        return try Dashboard(json: text.utf8).panels
    }
}

private enum Repository {
    static func text(_ path: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }
}
