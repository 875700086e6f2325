import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage

@Suite(.blocking) struct `The page's monitoring` {
    @Test(arguments: ["/metrics", "/healthz"])
    func `answers 503 before the processor has started, and after it has stopped`(
        path: String
    ) async throws {
        let test = try await TestPage.start()
        let early = try test.get(path)
        #expect(early.status == 503)
        #expect(early.body == "the processor has not started\n")
        test.page.setMetricsSource { $0(nil) }
        let late = try test.get(path)
        #expect(late.status == 503)
        #expect(late.body == "the processor has stopped\n")
        await test.page.stop()
    }

    @Test(arguments: ["/metrics", "/healthz"])
    func `answers 503 if the processor does not answer in time`(path: String) async throws {
        let test = try await TestPage.start { $0.processorTimeout = .milliseconds(20) }
        let forgotten = LockedValue<[@Sendable (ProcessorMetrics?) -> Void]>([])
        test.page.setMetricsSource { answer in forgotten.withLock { $0.append(answer) } }
        #expect(try test.get(path).body == "the processor does not answer\n")
        #expect(try test.get(path).status == 503)
        #expect(try test.get("/livez").status == 200)
        // The answer to a read that has timed out is ignored.
        let late = forgotten.withLock { $0[0] }
        late(healthy)
        #expect(try test.get(path).status == 503)
        await test.page.stop()
    }

    @Test(.timeLimit(.minutes(5)))
    func `answers a request that waits for the processor when the page stops`() async throws {
        let test = try await TestPage.start { $0.processorTimeout = .seconds(3_600) }
        let isAsked = LockedValue(false)
        test.page.setMetricsSource { _ in isAsked.withLock { $0 = true } }
        let socket = try BlockingSocket(to: test.page.address)
        socket.send("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        #expect(eventually { isAsked.withLock { $0 } })
        await test.page.stop()
        #expect(ReceivedResponse(parsing: socket.receiveAll()).status == 503)
    }

    @Test func `answers ok while plays are counted, and otherwise the problem`() async throws {
        let test = try await TestPage.start()
        let current = LockedValue(healthy)
        test.page.setMetricsSource { $0(current.withLock { $0 }) }
        let good = try test.get("/healthz")
        #expect(good.status == 200)
        #expect(good.body == "ok\n")
        #expect(good.headers["cache-control"] == "no-store")
        let error = StoreError(.full, path: "counts.sqlite")
        current.withLock { $0.lastCommitError = error }
        let bad = try test.get("/healthz")
        #expect(bad.status == 503)
        #expect(bad.body == "\(error)\n")
        await test.page.stop()
    }

    @Test func `has the metrics of processor, queue and page in Prometheus' format`() async throws {
        let test = try await TestPage.start()
        test.page.setMetricsSource { [healthy] in $0(healthy) }
        let first = try test.get("/metrics")
        #expect(first.status == 200)
        #expect(first.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(!first.body.contains("tally_queue_messages"))
        test.page.setQueueState(
            ChannelDepth(depth: 7, inFlight: 2, deferred: 1, oldestAge: .milliseconds(1_500)))
        let events = try EventReader(test.page)
        _ = try events.next("state")
        let body = try test.get("/metrics").body
        for line in [
            #"tally_build_info{version="\#(TallyVersion.current)"} 1"#,
            "tally_plays_counted_total 0", "tally_calls_minimum_total 0",
            "tally_backlog_age_seconds 1.5",
            #"tally_queue_messages{state="queued"} 7"#,
            #"tally_queue_messages{state="in_flight"} 2"#,
            #"tally_queue_messages{state="deferred"} 1"#, "tally_page_browsers 1",
        ] {
            #expect(body.contains("\n\(line)\n"), "\(line)")
        }
        #expect(body.contains("\nprocess_resident_memory_bytes "))
        await test.page.stop()
    }

    @Test func `asks proxies not to hold events back`() async throws {
        let test = try await TestPage.start()
        let response = try test.send("HEAD /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        #expect(response.status == 200)
        #expect(response.headers["x-accel-buffering"] == "no")
        await test.page.stop()
    }

    private var healthy: ProcessorMetrics {
        var metrics = ProcessorMetrics()
        metrics.connections = 1
        return metrics
    }
}
