import Foundation
import HTTP
import NSQJobs
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage

/// A page of jobs with a store in a file, at an address of its own.
private struct JobsPageFixture {
    let jobs: Jobs
    let page: JobsMonitor
    let address: SocketAddress
    private let folder: TemporaryFolder

    init() async throws {
        folder = try TemporaryFolder()
        jobs = try await Jobs(store: .sqlite(folder.path("jobs.sqlite")))
        page = JobsMonitor(jobs)
        address = try await page.serve(
            at: SocketAddress(host: "127.0.0.1", port: 0), names: ["jobs.example"])
    }

    func send(_ text: String) throws -> ReceivedResponse {
        let socket = try BlockingSocket(to: address)
        socket.send(text)
        return ReceivedResponse(parsing: socket.receiveAll())
    }

    func get(_ target: String) throws -> ReceivedResponse {
        try send("GET \(target) HTTP/1.0\r\nHost: localhost\r\n\r\n")
    }

    func post(_ target: String, _ body: String = "", _ headers: String = "") throws
        -> ReceivedResponse
    {
        try send(
            "POST \(target) HTTP/1.0\r\nHost: localhost\r\n\(headers)"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    func stop() async {
        await page.stop()
        await jobs.stop()
    }
}

private struct PreviewJSON: Decodable, Equatable {
    var count: Int
    var complete: Bool
}

private struct JobsJSON: Decodable {
    struct Job: Decodable {
        var id: Int
        var name: String
        var state: String
        var arguments: String
        var note: String
    }
    var jobs: [Job]
    var next: Int?
}

private struct JobsStateJSON: Decodable {
    struct Settings: Decodable { var has_videos: Bool }
    struct Queue: Decodable {
        struct Limit: Decodable {
            var concurrency: Int?
            var rate_starts: Int?
            var rate_seconds: Double?
        }
        var limit: Limit?
        var key_limit: Limit?
        var waiting_for_limit: Int
        var queue: String
        var paused: Bool
        var counts: [String: Int]
    }
    struct Operation: Decodable {
        var number: Int
        var state: String
        var changed: Int
    }
    struct Action: Decodable {
        var action: String
        var target: String
        var changed: Int
    }
    var settings: Settings?
    var totals: [String: Int]
    var queue_count: Int
    var queues: [Queue]
    var operations: [Operation]
    var actions: [Action]
}

@Suite(.blocking) struct `The page of the jobs` {
    @Test(arguments: [
        ("/jobs", "text/html; charset=utf-8"), ("/page.css", "text/css; charset=utf-8"),
        ("/jobs.css", "text/css; charset=utf-8"),
        ("/stream.js", "text/javascript; charset=utf-8"),
        ("/jobs.js", "text/javascript; charset=utf-8"),
        ("/jobs-logic.js", "text/javascript; charset=utf-8"),
        ("/jobs-charts.js", "text/javascript; charset=utf-8"),
        ("/jobs-overview.js", "text/javascript; charset=utf-8"),
        ("/jobs-list.js", "text/javascript; charset=utf-8"),
        ("/jobs-detail.js", "text/javascript; charset=utf-8"),
        ("/jobs-actions.js", "text/javascript; charset=utf-8"),
        ("/api/jobs?summary=true", "application/json"), ("/api/jobs/names", "application/json"),
        ("/api/jobs/actions", "application/json"), ("/api/jobs/preview", "application/json"),
    ])
    func `serves its files and its API with a strict content security policy`(
        path: String, type: String
    ) async throws {
        let fixture = try await JobsPageFixture()
        let response = try fixture.get(path)
        #expect(response.status == 200)
        #expect(response.headers["content-type"] == type)
        #expect(response.headers["x-content-type-options"] == "nosniff")
        let policy = try #require(response.headers["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'"))
        #expect(policy.hasSuffix("require-trusted-types-for 'script'"))
        for text in ["https://", "<style", "style=", "<script>", "onclick", "innerHTML"] {
            #expect(!response.body.contains(text), "\(text)")
        }
        await fixture.stop()
    }

    @Test func `refuses foreign host names, and changes of pages of other sites`() async throws {
        let fixture = try await JobsPageFixture()
        let id = try await fixture.jobs.enqueue(NewJob(name: "n")).id
        for path in ["/jobs", "/jobs/events", "/api/jobs", "/page.css"] {
            let foreign = try fixture.send("GET \(path) HTTP/1.0\r\nHost: evil.example\r\n\r\n")
            #expect(foreign.status == 421)
        }
        let named = try fixture.send("GET /jobs HTTP/1.0\r\nHost: jobs.example\r\n\r\n")
        #expect(named.status == 200)
        let changes = [
            ("/api/jobs/\(id)/cancel", ""), ("/api/queues/default/pause", ""),
            ("/api/jobs/bulk", #"{"action":"cancel","filter":{}}"#),
        ]
        for (path, body) in changes {
            for header in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
                #expect(try fixture.post(path, body, header + "\r\n").status == 403)
            }
        }
        #expect(try await fixture.jobs.status(of: id)?.state == .available)
        #expect(try fixture.post("/jobs").status == 405)
        await fixture.stop()
    }

    @Test func `is served beside the page of the videos, which then has a link to it`() async throws
    {
        let fixture = try await JobsPageFixture()
        let videos = try await TestPage.start()
        #expect(try videos.get("/jobs").status == 404)
        videos.page.add(fixture.page)
        #expect(try videos.get("/jobs").status == 200)
        #expect(try videos.get("/api/jobs").status == 200)
        let id = try await fixture.jobs.enqueueBatch([NewJob(name: "n")]).id
        #expect(try videos.get("/api/batches/\(id)").status == 200)
        let foreign = try videos.send("GET /api/jobs HTTP/1.0\r\nHost: evil.example\r\n\r\n")
        #expect(foreign.status == 421)
        let cross = try videos.send(
            "POST /api/queues/a/pause HTTP/1.0\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n"
        )
        #expect(cross.status == 403)
        let state = try EventReader(videos.page, path: "/jobs/events").next("state")
            .json(as: JobsStateJSON.self)
        #expect(state.settings?.has_videos == true)
        await fixture.stop()
        await videos.page.stop()
    }

    @Test func `sends the state, and an update after each change`() async throws {
        let fixture = try await JobsPageFixture()
        let events = try EventReader(at: fixture.address, path: "/jobs/events")
        let state = try events.next("state").json(as: JobsStateJSON.self)
        #expect(state.queues.isEmpty && state.settings?.has_videos == false)
        _ = try fixture.post("/api/jobs", #"{"name":"n","queue":"mail"}"#)
        let update = try events.next("update") { $0.data.contains("mail") }
            .json(as: JobsStateJSON.self)
        #expect(update.queues.map(\.queue) == ["mail"])
        #expect(update.queues[0].counts["available"] == 1)
        _ = try fixture.post("/api/queues/mail/pause")
        let paused = try events.next("update") { $0.data.contains("pause\"") }
            .json(as: JobsStateJSON.self)
        #expect(paused.queues[0].paused)
        #expect(paused.actions.map(\.action) == ["pause"])
        #expect(paused.actions.map(\.target) == ["queue mail"])
        _ = try fixture.post("/api/queues/mail/limit", #"{"rate_starts":5,"rate_seconds":60}"#)
        let limited = try events.next("update") { $0.data.contains("rate_starts") }
            .json(as: JobsStateJSON.self).queues[0]
        #expect(limited.limit?.rate_starts == 5 && limited.limit?.rate_seconds == 60)
        #expect(limited.limit?.concurrency == nil && limited.key_limit == nil)
        #expect(limited.waiting_for_limit == 0)
        await fixture.page.stop(reason: "a test ends")
        #expect(try events.next("end").data.contains("a test ends"))
        await fixture.jobs.stop()
    }

    @Test func `lists jobs with shortened arguments, as JSON that no page can run`() async throws {
        let fixture = try await JobsPageFixture()
        let script = "</script><script>alert(1)</script>"
        let long = #"{"x":"\#(String(repeating: "é", count: 5_000))"}"#
        try await fixture.jobs.enqueue(NewJob(name: script, arguments: #"{"a":"\#(script)"}"#))
        try await fixture.jobs.enqueue(NewJob(name: "long", arguments: long))
        let response = try fixture.get("/api/jobs?summary=true")
        #expect(!response.body.contains("<"))
        let list = try response.json(as: JobsJSON.self)
        #expect(list.jobs.map(\.name) == ["long", script])
        #expect(list.jobs[0].arguments.count == JobSummaryJSON.maxCharacters + 1)
        #expect(response.body.utf8.count < 2_000)
        // Stored JSON is sent unchanged. The content type prevents a browser from taking it for
        // markup.
        let job = try fixture.get("/api/jobs/1")
        #expect(job.headers["content-type"] == "application/json")
        #expect(job.headers["x-content-type-options"] == "nosniff")
        await fixture.stop()
    }

    @Test func `changes all matching jobs in the background, after a preview`() async throws {
        let fixture = try await JobsPageFixture()
        let jobs = (0..<1_200).map { index in
            NewJob(name: index % 2 == 0 ? "even" : "odd", options: JobOptions(queue: "mail"))
        }
        try await fixture.jobs.enqueue(contentsOf: jobs)
        let preview = try fixture.get("/api/jobs/preview?name=even&state=available")
        #expect(try preview.json(as: PreviewJSON.self) == PreviewJSON(count: 600, complete: true))
        let events = try EventReader(at: fixture.address, path: "/jobs/events")
        let answer = try fixture.post(
            "/api/jobs/bulk",
            #"{"action":"move","queue":"other","filter":{"name":"even","state":"available"}}"#)
        #expect(answer.status == 202)
        var state = try events.next("state").json(as: JobsStateJSON.self)
        while state.operations.first?.state != "finished" {
            state = try events.next("update").json(as: JobsStateJSON.self)
        }
        #expect(state.operations.map(\.changed) == [600])
        let moved = try await fixture.jobs.count(matching: JobQuery(queue: "other", name: "even"))
        #expect(moved == 600)
        let actions = try fixture.get("/api/jobs/actions").body
        #expect(actions.contains("move to other"))
        #expect(try fixture.post("/api/jobs/bulk/1/cancel").status == 404)
        await fixture.stop()
    }

    @Test func `stops a change of many jobs between two transactions`() async throws {
        let fixture = try await JobsPageFixture()
        let jobs = (0..<20_000).map { _ in NewJob(name: "n") }
        try await fixture.jobs.enqueue(contentsOf: jobs)
        let body = #"{"action":"discard","filter":{"name":"n"}}"#
        #expect(try fixture.post("/api/jobs/bulk", body).status == 202)
        #expect(try fixture.post("/api/jobs/bulk/1/cancel").status == 200)
        let runner = fixture.page.runner
        #expect(eventually { runner.operations.first?.state != .running })
        // The stop waits until the entry is logged.
        await fixture.page.stop()
        let operation = try #require(fixture.page.runner.operations.first)
        #expect(operation.state == .cancelled)
        #expect(operation.result.changed < 20_000)
        let discarded = try await fixture.jobs.count(matching: JobQuery(states: [.discarded]))
        #expect(operation.result.changed == discarded)
        let log = try await fixture.jobs.inspection?.actions(before: nil, limit: 5)
        #expect(log?.map(\.action.error) == ["cancelled"])
        await fixture.jobs.stop()
    }

    @Test(arguments: [
        ("{}", "action must be"), (#"{"action":"retry"}"#, "filter is missing"),
        (#"{"action":"move","filter":{}}"#, "action must be"),
        (#"{"action":"move","queue":"a b","filter":{}}"#, "invalid queue name"),
        (#"{"action":"retry","filter":{"state":"x"}}"#, "unknown state"),
        (#"{"action":"retry","filter":{"limit":5}}"#, "unknown member"), ("x", "not JSON"),
        (#"{"action":"discard","filter":{"queue":null}}"#, "queue must have a value"),
        (#"{"action":"discard","filter":{"name":""}}"#, "name must have a value"),
        (#"{"action":"discard","filter":{"state":","}}"#, "at least one state"),
    ])
    func `answers 400 for an invalid change of many jobs`(body: String, reason: String) async throws
    {
        let fixture = try await JobsPageFixture()
        let response = try fixture.post("/api/jobs/bulk", body)
        #expect(response.status == 400)
        #expect(response.body.contains(reason))
        await fixture.stop()
    }

    @Test func `names a bounded number of queues, and counts the jobs of all`() async throws {
        let fixture = try await JobsPageFixture()
        let count = JobsHistory.maxQueues + 50
        let jobs = (0..<count).map { NewJob(name: "n", options: JobOptions(queue: "q\($0)")) }
        try await fixture.jobs.enqueue(contentsOf: jobs)
        await fixture.page.read()
        let events = try EventReader(at: fixture.address, path: "/jobs/events")
        var state = try events.next("state").json(as: JobsStateJSON.self)
        if state.queue_count == 0 {
            state = try events.next("update") { $0.data.contains("q0") }
                .json(as: JobsStateJSON.self)
        }
        #expect(state.queue_count == count)
        #expect(state.queues.count == JobsHistory.maxQueues)
        #expect(state.totals["available"] == count)
        await fixture.stop()
    }

    @Test func `refuses bodies that are too large together, until others have ended`()
        async throws
    {
        let fixture = try await JobsPageFixture()
        let part = [UInt8](repeating: UInt8(ascii: " "), count: JobsRoutes.maxBodyBytes - 1)
        let head =
            "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n"
            + "Content-Length: \(JobsRoutes.maxBodyBytes)\r\n\r\n"
        var sockets: [BlockingSocket] = []
        for _ in 0...JobsRoutes.maxBytesOfBodies / JobsRoutes.maxBodyBytes {
            let socket = try BlockingSocket(to: fixture.address)
            socket.send(head)
            socket.send(part)
            sockets.append(socket)
        }
        let refused = try #require(BlockingSocket.firstReadableSocket(of: sockets))
        let response = ReceivedResponse(parsing: refused.receiveAll())
        #expect(response.status == 503 && response.body.contains("too many bodies"))
        sockets = []
        let isAccepted = try eventually {
            try fixture.post("/api/jobs", #"{"name":"a"}"#).status == 201
        }
        #expect(isAccepted, "a body is accepted again")
        await fixture.stop()
    }

    @Test func `shows an error of the store`() async throws {
        let fixture = try await JobsPageFixture()
        let events = try EventReader(at: fixture.address, path: "/jobs/events")
        _ = try events.next("state")
        await fixture.jobs.stop()
        _ = try events.next("update") { $0.data.contains(#""problem":""#) }
        #expect(fixture.page.state.problem != nil)
        await fixture.page.stop()
    }
}
