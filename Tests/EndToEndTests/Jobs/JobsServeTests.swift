import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The command tally jobs serve` {
    private let jobs: JobsFolder
    private let server: JobsServer

    init() throws {
        jobs = try JobsFolder()
        server = try JobsServer(jobs)
    }

    @Test func `publishes jobs of the API and of other processes to workers`() throws {
        let worker = try jobs.start(
            ["work", "--nsqd-tcp-address=\(server.nsqd)", "--", "sh", "-c", "cat; echo"])
        try jobs.run("enqueue", "a", "--args=1")
        #expect(worker.line(containing: "1", of: .standardOutput) != nil)
        _ = try server.request("POST", "/api/jobs", body: #"{"name":"b","arguments":22}"#)
        #expect(worker.line(containing: "22", of: .standardOutput) != nil)
        worker.send(SIGTERM)
        #expect(worker.status() == 0)
        server.stop()
    }

    @Test func `stores, shows and changes jobs by HTTP`() throws {
        let body = #"""
            {"name":"report","arguments":{"user":[7,null,"<é>"]},"queue":"low","priority":"high",
             "tags":["a"],"unique_key":"k","delay_seconds":3600,"max_attempts":3}
            """#
        let new = try server.request("POST", "/api/jobs", body: body)
        #expect(new.status == 201 && new.body == #"{"id":1,"result":"new"}"#)
        let again = try server.request("POST", "/api/jobs", body: body)
        #expect(again.status == 200 && again.body == #"{"id":1,"result":"existing"}"#)
        let job = try jobs.show(1)
        #expect(job.queue == "low" && job.priority == "high" && job.state == "scheduled")
        #expect(job.tags == ["a"] && job.max_attempts == 3)
        let shown = try server.request("GET", "/api/jobs/1")
        #expect(shown.status == 200 && shown.body.contains(#""attempts":[]"#))
        #expect(shown.body.contains(#""arguments":{"user":[7,null,"\u003cé\u003e"]}"#))
        let edited = try server.request("POST", "/api/jobs/1/edit", body: #"{"queue":"q"}"#)
        #expect(edited.status == 200 && edited.body.contains(#""queue":"q""#))
        for (action, state) in [
            ("cancel", "cancelled"), ("retry", "available"), ("discard", "discarded"),
        ] {
            let changed = try server.request("POST", "/api/jobs/1/\(action)")
            #expect(changed.status == 200 && changed.body.contains(#""state":"\#(state)""#))
        }
        server.stop()
    }

    @Test func `stores batches and jobs after others by HTTP`() throws {
        let body = #"{"jobs":[{"name":"a"},{"name":"b"}],"callback":{"name":"c","queue":"q"}}"#
        let new = try server.request("POST", "/api/batches", body: body)
        #expect(new.status == 201)
        #expect(
            new.body
                == #"{"id":1,"jobs":[{"id":2,"result":"new"},{"id":3,"result":"new"}]}"#)
        let after = try server.request(
            "POST", "/api/jobs", body: #"{"name":"d","after":[2],"on_failure":"run"}"#)
        #expect(after.status == 201)
        let shown = try server.request("GET", "/api/jobs/4").body
        #expect(shown.contains(#""waits_for":"jobs""#) && shown.contains(#""waits_for_jobs":[2]"#))
        for id in [2, 3] { _ = try server.request("POST", "/api/jobs/\(id)/cancel") }
        let batch = try server.request("GET", "/api/batches/1")
        #expect(batch.status == 200 && batch.body.contains(#""cancelled":2,"callback":5"#))
        #expect(try server.request("GET", "/api/jobs?batch=1").body.contains(#""id":3"#))
        #expect(try server.request("GET", "/api/batches/9").status == 404)
        for (path, body, status) in [
            ("/api/jobs", #"{"name":"x","batch":1}"#, 409),
            ("/api/jobs", #"{"name":"x","batch":9}"#, 404),
            ("/api/jobs", #"{"name":"x","after":[99]}"#, 404),
            ("/api/jobs", #"{"name":"x","after":2}"#, 400),
            ("/api/jobs", #"{"name":"x","on_failure":"run"}"#, 400),
            ("/api/jobs", #"{"name":"x","after":[2],"on_failure":"x"}"#, 400),
            ("/api/batches", #"{"callback":{"name":"c"}}"#, 400),
        ] {
            #expect(try server.request("POST", path, body: body).status == status)
        }
        server.stop()
    }

    @Test func `limits queues by HTTP`() throws {
        let path = "/api/queues/low/limit"
        let limit = try server.request(
            "POST", path, body: #"{"concurrency":2,"rate_starts":3,"rate_seconds":0.5}"#)
        #expect(limit.status == 200 && limit.body.contains(#""rate_seconds":0.5"#))
        #expect(
            try server.request("POST", path, body: #"{"concurrency":1,"per_key":true}"#).status
                == 200)
        let queue = try #require(try jobs.statistics().queues.first)
        #expect(queue.limit == .init(concurrency: 2, rate_starts: 3, rate_seconds: 0.5))
        #expect(queue.key_limit == .init(concurrency: 1))
        #expect(try server.request("POST", path, body: "{}").status == 200)
        #expect(try jobs.statistics().queues.map(\.limit) == [nil])
        for body in [
            #"{"concurrency":0}"#, #"{"concurrency":10001}"#, #"{"rate_starts":1}"#, #"{"x":1}"#,
            #"{"rate_starts":1,"rate_seconds":0}"#, #"{"per_key":1}"#, "[]",
        ] {
            #expect(try server.request("POST", path, body: body).status == 400)
        }
        server.stop()
    }

    @Test func `stores a list of jobs, lists them in pages, and counts them`() throws {
        let body = "[" + (1...5).map { #"{"name":"n\#($0)"}"# }.joined(separator: ",") + "]"
        let stored = try server.request("POST", "/api/jobs", body: body)
        #expect(stored.status == 201 && stored.body.hasPrefix(#"[{"id":1,"result":"new"},"#))
        let page = try server.request("GET", "/api/jobs?limit=2&state=available,scheduled&before=5")
        #expect(page.body.contains(#""name":"n4""#) && page.body.hasSuffix(#""next":3}"#))
        #expect(!page.body.contains(#""name":"n2""#))
        #expect(try server.request("GET", "/api/jobs?name=n2").body.contains(#""id":2"#))
        #expect(
            try server.request("GET", "/api/jobs/names?prefix=n5").body == #"{"names":["n5"]}"#)
        let statistics = try server.request("GET", "/api/jobs/stats")
        #expect(statistics.body.contains(#""queue":"default","paused":false,"scheduled":0,"#))
        #expect(try server.request("POST", "/api/queues/default/pause").status == 200)
        #expect(try jobs.statistics().queues.map(\.paused) == [true])
        #expect(try server.request("POST", "/api/queues/default/resume").status == 200)
        #expect(try server.request("HEAD", "/api/jobs").status == 200)
        #expect(try server.request("GET", "/healthz").body == "ok\n")
        server.stop()
    }

    @Test func `explains a request that it cannot perform`() throws {
        _ = try server.request("POST", "/api/jobs", body: #"{"name":"a"}"#)
        for (method, path, body, status, text) in [
            ("POST", "/api/jobs", "{", 400, "the body is not JSON"),
            ("POST", "/api/jobs", "7", 400, "must be an object"),
            ("POST", "/api/jobs", "{}", 400, "name is missing"),
            ("POST", "/api/jobs", #"{"name":"a","nme":1}"#, 400, "unknown member 'nme'"),
            ("POST", "/api/jobs", #"{"name":7}"#, 400, "name must be a string"),
            ("POST", "/api/jobs", #"{"name":"a","priority":"x"}"#, 400, "high, normal or low"),
            ("POST", "/api/jobs", #"{"name":"a","due_at":"x"}"#, 400, "due_at must be"),
            ("POST", "/api/jobs", #"{"name":"a","delay_seconds":1e99}"#, 400, "100 years"),
            ("POST", "/api/jobs", #"{"name":"a","queue":"a b"}"#, 400, "invalid queue name"),
            ("POST", "/api/jobs", #"{"name":"a","max_attempts":0}"#, 400, "maxAttempts"),
            ("POST", "/api/jobs/1/edit", "{}", 400, "nothing to change"),
            ("POST", "/api/jobs/1/retry", nil, 409, "cannot retry a job in state 'available'"),
            ("POST", "/api/jobs/9/cancel", nil, 404, "unknown job '9'"),
            ("GET", "/api/jobs/9", nil, 404, "unknown job '9'"),
            ("GET", "/api/jobs/x", nil, 400, "invalid job ID 'x'"),
            ("GET", "/api/jobs?state=x", nil, 400, "unknown state 'x'"),
            ("GET", "/api/jobs?limit=0", nil, 400, "limit must be"),
            ("POST", "/api/queues/none/pause", nil, 404, "unknown queue 'none'"),
            ("DELETE", "/api/jobs", nil, 405, "use GET or POST"),
            ("GET", "/api/jobs/1/retry", nil, 405, "use POST"),
            ("GET", "/other", nil, 404, "not found"),
        ] as [(String, String, String?, Int, String)] {
            let response = try server.request(method, path, body: body)
            #expect(response.status == status, "\(method) \(path) \(body ?? "")")
            #expect(response.body.hasPrefix(#"{"error":""#) && response.body.contains(text))
        }
        server.stop()
    }

    @Test func `refuses requests of other sites' pages, and foreign host names`() throws {
        let job = #"{"name":"a"}"#
        for header in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
            let refused = try server.request("POST", "/api/jobs", body: job, headers: [header])
            #expect(refused.status == 403)
        }
        #expect(
            try server.request("GET", "/api/jobs", headers: ["Host: evil.example"]).status == 421)
        let same = try server.request(
            "POST", "/api/jobs", body: job,
            headers: ["Origin: http://\(server.api)", "Sec-Fetch-Site: same-origin"])
        #expect(same.status == 201)
        #expect(same.headers["x-content-type-options"] == "nosniff")
        let policy = same.headers["content-security-policy"]
        #expect(policy?.contains("default-src 'none'") == true)
        #expect(try jobs.list().jobs.count == 1)
        server.stop()
    }

    @Test func `publishes fleeting jobs of the API and of the command without storing them`()
        throws
    {
        let worker = try jobs.start(
            ["work", "--nsqd-tcp-address=\(server.nsqd)", "--", "sh", "-c", "cat; echo"])
        let nsqd = "--nsqd-tcp-address=\(server.nsqd)"
        let lines = try jobs.run("enqueue", "a", "--args=11", "--fleeting", nsqd)
        #expect(lines.count == 1 && lines[0].hasPrefix("published job "))
        #expect(lines.first?.hasSuffix(" in queue 'default'") == true)
        #expect(worker.line(containing: "11", of: .standardOutput) != nil)
        let new = try server.request(
            "POST", "/api/jobs", body: #"{"name":"b","arguments":22,"fleeting":true}"#)
        #expect(new.status == 201 && new.body.hasSuffix(#","result":"new"}"#))
        #expect(worker.line(containing: "22", of: .standardOutput) != nil)
        let many = try jobs.run(
            "enqueue", "c", "--args-file=\(try jobs.numbers(33...35))", "--fleeting", nsqd)
        #expect(many == ["published 3 jobs in queue 'default'"])
        let counted = try jobs.run(
            "enqueue", "c", "--args-file=\(try jobs.numbers(36...37))", "--fleeting", nsqd, "--json"
        )
        #expect(counted == [#"{"published":2}"#])
        let needed = try jobs.failure(["enqueue", "a", nsqd])
        #expect(needed.status == 64 && needed.text.contains("needs --fleeting"))
        #expect(worker.line(containing: "35", of: .standardOutput) != nil)
        worker.send(SIGTERM)
        #expect(worker.status() == 0)
        #expect(try jobs.list().jobs.isEmpty)
        let refused = try server.request(
            "POST", "/api/jobs", body: #"{"name":"b","unique_key":"k","fleeting":true}"#)
        #expect(refused.status == 400)
        #expect(refused.body.contains("a fleeting job cannot have a unique key"))
        let tagged = try server.request(
            "POST", "/api/jobs", body: #"{"name":"b","tags":["t"],"fleeting":true}"#)
        #expect(tagged.status == 400 && tagged.body.contains("a fleeting job cannot have tags"))
        let failure = try jobs.failure(["enqueue", "a", "--fleeting", "--unique=k", nsqd])
        #expect(failure.status == 1)
        #expect(failure.text.contains("a fleeting job cannot have a unique key"))
        server.stop()
    }

    @Test func `passes the trace context of a request to the program`() throws {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let new = try server.request(
            "POST", "/api/jobs", body: #"{"name":"a"}"#, headers: ["traceparent: \(trace)"])
        #expect(new.status == 201)
        let worker = try jobs.start(
            ["work", "--nsqd-tcp-address=\(server.nsqd)", "--", "sh", "-c", "echo $TRACEPARENT"])
        #expect(worker.line(containing: trace, of: .standardOutput) == trace)
        worker.send(SIGTERM)
        #expect(worker.status() == 0)
        server.stop()
    }

    @Test
    func `passes the trace context of a request to a persistent program, and not its worker's`()
        throws
    {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        for headers in [["traceparent: \(trace)"], []] {
            let new = try server.request(
                "POST", "/api/jobs", body: #"{"name":"a"}"#, headers: headers)
            #expect(new.status == 201)
        }
        let script = #"""
            while read -r line; do
                echo "${TRACEPARENT-none} $line" >&2
                id=${line#*:}
                echo "{\"id\":${id%%,*},\"result\":\"completed\"}"
            done
            """#
        let worker = try jobs.start(
            ["work", "--keep", "--nsqd-tcp-address=\(server.nsqd)", "--", "sh", "-c", script],
            environment: ["TRACEPARENT": trace])
        let first = worker.line(containing: #""id":1,"#, of: .standardError)
        #expect(first?.hasPrefix("none ") == true)
        #expect(first?.contains(#","traceparent":"\#(trace)","arguments":{}}"#) == true)
        let second = worker.line(containing: #""id":2,"#, of: .standardError)
        #expect(second?.hasPrefix("none ") == true && second?.contains("trace") == false)
        worker.send(SIGTERM)
        #expect(worker.status() == 0)
        server.stop()
    }

    @Test func `refuses a body that is too large`() throws {
        let body = String(repeating: "x", count: 5 << 20)
        let response = try server.request("POST", "/api/jobs", body: body)
        #expect(response.status == 413 && response.body.contains("has more than 4194304 bytes"))
        server.stop()
    }
}

@Suite(.blocking) struct `A tally jobs serve that cannot start` {
    @Test(arguments: [
        (["--api-address=x"], 64, "invalid --api-address 'x'"),
        (["--sweep-interval=1ms"], 64, "--sweep-interval must be at least 10ms"),
        (
            ["--tcp-address=127.0.0.1:0", "--store=/none/jobs.sqlite"], 1,
            "cannot open the job store"
        ),
        (["--tcp-address=192.0.2.1:1"], 1, "pass another --tcp-address"),
    ])
    func `names the reason`(words: [String], status: Int32, text: String) throws {
        let process = try BuiltProcess(["jobs", "serve"] + words)
        #expect(process.status() == status)
        #expect(process.lines(of: .standardError).joined().contains(text))
    }
}
