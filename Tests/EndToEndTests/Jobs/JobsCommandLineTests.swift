import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The command tally jobs` {
    private let jobs: JobsFolder

    init() throws { jobs = try JobsFolder() }

    @Test func `stores a job with its options, and shows it`() throws {
        let lines = try jobs.run(
            "enqueue", "report", "--args={\"user\":7}", "--queue=low", "--priority=high",
            "--tag=a", "--tag=b", "--max-attempts=3")
        #expect(lines == ["stored job 1 in queue 'low'"])
        let job = try jobs.show(1)
        #expect(job.name == "report" && job.queue == "low" && job.state == "available")
        #expect(job.priority == "high" && job.tags == ["a", "b"] && job.max_attempts == 3)
        let text = try jobs.run("show", "1")
        #expect(text.contains("arguments:  {\"user\":7}"))
    }

    @Test func `stores a job for each line of a file`() throws {
        let lines = try jobs.run("enqueue", "count", "--args-file=\(try jobs.numbers(1...2_500))")
        #expect(lines == ["stored 2500 jobs in queue 'default'"])
        #expect(try jobs.statistics().queues.map(\.available) == [2_500])
    }

    @Test func `reports the existing job for a unique key`() throws {
        try jobs.run("enqueue", "sync", "--unique=k")
        #expect(
            try jobs.run("enqueue", "sync", "--unique=k", "--json")
                == [#"{"id":1,"result":"existing"}"#])
    }

    @Test func `lists by state, queue, name and tag, in pages`() throws {
        try jobs.run("enqueue", "a", "--queue=low", "--tag=x")
        try jobs.run("enqueue", "b", "--in=1h")
        try jobs.run("enqueue", "c", "--at=2100-01-31T12:00:00Z")
        #expect(try jobs.list("--state=scheduled").jobs.map(\.name) == ["c", "b"])
        #expect(try jobs.list("--queue=low").jobs.map(\.name) == ["a"])
        #expect(try jobs.list("--name=b").jobs.map(\.id) == [2])
        #expect(try jobs.list("--tag=x").jobs.map(\.id) == [1])
        let page = try jobs.list("--limit=2")
        #expect(page.jobs.map(\.id) == [3, 2] && page.next == 2)
        #expect(try jobs.list("--before=2").jobs.map(\.id) == [1])
        #expect(try jobs.run("names") == ["a", "b", "c"])
        #expect(try jobs.run("names", "--prefix=b", "--json") == [#"{"names":["b"]}"#])
    }

    @Test func `moves, edits, cancels, retries and discards jobs`() throws {
        try jobs.run("enqueue", "a", "--in=1h")
        try jobs.run("move", "1", "--queue=low")
        try jobs.run("edit", "1", "--args=[1]", "--priority=low", "--max-attempts=9", "--tag=t")
        let job = try jobs.show(1)
        #expect(job.queue == "low" && job.priority == "low" && job.max_attempts == 9)
        #expect(job.tags == ["t"] && job.state == "scheduled")
        for (command, state) in [
            ("cancel", "cancelled"), ("retry", "available"), ("discard", "discarded"),
        ] {
            #expect(try jobs.run(command, "1") == ["job 1 of queue 'low' is \(state)"])
        }
    }

    @Test func `pauses and resumes queues, and deletes ended jobs`() throws {
        try jobs.run("enqueue", "a")
        try jobs.run("enqueue", "a")
        #expect(try jobs.run("pause", "default") == ["queue 'default' is paused"])
        #expect(try jobs.statistics().queues.map(\.paused) == [true])
        try jobs.run("resume", "default")
        #expect(try jobs.statistics().queues.map(\.paused) == [false])
        try jobs.run("cancel", "1", "2")
        #expect(try jobs.run("prune", "--keep=1") == ["deleted 1 job"])
        #expect(try jobs.run("prune", "--older-than=0s", "--json") == [#"{"deleted":1}"#])
    }

    @Test func `limits queues, shows the limits, and removes them`() throws {
        #expect(
            try jobs.run("limit", "low", "--concurrency=5", "--rate=100/1m")
                == ["queue 'low' is limited to 5 running, 100 starts per 60.0 seconds"])
        #expect(
            try jobs.run("limit", "low", "--per-key", "--rate=1/1.5s")
                == ["each key of queue 'low' is limited to 1 start per 1.5 seconds"])
        let queue = try #require(try jobs.statistics().queues.first)
        #expect(queue.limit == .init(concurrency: 5, rate_starts: 100, rate_seconds: 60))
        #expect(queue.key_limit == .init(rate_starts: 1, rate_seconds: 1.5))
        #expect(
            try jobs.run("stats").last?.hasSuffix("limit per key 1 start per 1.5 seconds") == true)
        #expect(try jobs.run("limit", "low", "--none") == ["queue 'low' has no limit"])
        #expect(try jobs.statistics().queues.map(\.limit) == [nil])
        try jobs.run("enqueue", "a", "--limit-key=k")
        #expect(try jobs.run("show", "1").contains("limit key:  k"))
    }

    @Test func `stores jobs after others, and batches with a callback`() throws {
        #expect(
            try jobs.run("batch", "open", "--then=report", "--then-args={\"day\":7}") == ["1"])
        try jobs.run("enqueue", "a", "--batch=1")
        try jobs.run("enqueue", "b", "--batch=1", "--after=2", "--on-failure=run")
        #expect(try jobs.run("show", "3").contains("waits for:  jobs 2"))
        #expect(try jobs.list("--batch=1").jobs.map(\.id) == [3, 2])
        try jobs.run("batch", "close", "1")
        try jobs.run("discard", "2")
        #expect(
            try jobs.run("batch", "show", "1")
                == [
                    "batch 1: closed", "2 jobs: 1 pending, 0 completed, 1 discarded, 0 cancelled",
                ])
        try jobs.run("cancel", "3")
        let ended = try jobs.run("batch", "show", "1", "--json")
        #expect(ended[0].contains(#""pending":0"#) && ended[0].contains(#""callback":4"#))
        #expect(try jobs.show(4).name == "report")
    }

    @Test(arguments: [
        (["serve", "--keep-completed=x"], 64, "'x' is invalid"),
        (["serve", "--keep-discarded=-1h"], 64, "'-1h' is invalid"),
        (["serve", "--keep-count=-1"], 64, "--keep-count must be between 0 and 1000000000"),
        (["batch", "show", "9"], 1, "unknown batch '9'"),
        (["batch", "close", "9"], 1, "unknown batch '9'"),
        (["enqueue", "x", "--after=9"], 1, "unknown job '9'"),
        (["enqueue", "x", "--batch=9"], 1, "unknown batch '9'"),
        (["enqueue", "x", "--on-failure=x"], 64, "'x' is invalid"),
        (["limit", "q"], 64, "pass --concurrency, --rate or --none"),
        (["limit", "q", "--concurrency=0"], 64, "--concurrency must be between 1 and 10000"),
        (["limit", "q", "--rate=5"], 64, "such as 100/1m"),
        (["limit", "q", "--rate=0/1m"], 64, "such as 100/1m"),
        (["limit", "q", "--none", "--rate=1/1m"], 64, "--none cannot be combined"),
        (["limit", "a b", "--none"], 1, "invalid queue name 'a b'"),
        (["show", "9"], 1, "unknown job '9'"), (["retry", "1"], 1, "cannot retry a job in state"),
        (["cancel", "9"], 1, "unknown job '9'"), (["pause", "none"], 1, "unknown queue 'none'"),
        (["enqueue", "x", "--args={"], 1, "are not JSON"),
        (["enqueue", "x", "--queue=a b"], 1, "invalid queue name 'a b'"),
        (["enqueue", "x", "--args-file=/none"], 1, "cannot open '/none': No such file"),
        (["enqueue", "x", "--in=1h", "--at=2100-01-31T12:00:00Z"], 64, "cannot be combined"),
        (["enqueue", "x", "--at=tomorrow"], 64, "ISO 8601"),
        (["enqueue", "x", "--max-attempts=0"], 64, "--max-attempts must be between 1 and 10000"),
        (["enqueue", "x", "--in=-5s"], 64, "--in must be at least 0s, not -5s"),
        (["enqueue", "x", "--retry-delay=-1s"], 64, "--retry-delay must be at least 0s"),
        (["enqueue", "x", "--timeout=0s"], 64, "--timeout must be at least 1ms"),
        (["prune", "--older-than=-1h"], 64, "--older-than must be at least 0s"),
        (["work", "--snooze=-1s", "--", "true"], 64, "--snooze must be at least 0s"),
        (["work", "--stop-timeout=-1s", "--", "true"], 64, "--stop-timeout must be at least 0s"),
        (["work", "--kill-delay=-1s", "--", "true"], 64, "--kill-delay must be at least 0s"),
        (["edit", "1"], 64, "nothing to change"), (["prune"], 64, "pass --older-than or --keep"),
        (["prune", "--keep=1", "--state=running"], 64, "have not ended"),
        (["list", "--state=none"], 64, "'none' is invalid"),
        (["list", "--limit=0"], 64, "--limit must be between 1 and 1000"),
        (["work"], 64, "missing program"), (["work", "--", "/none"], 1, "cannot find program"),
    ])
    func `explains an error`(words: [String], status: Int32, text: String) throws {
        try jobs.run("enqueue", "a")
        let failure = try jobs.failure(words)
        #expect(failure.status == status)
        #expect(failure.text.contains(text), "\(failure.text)")
    }

    @Test func `names a store that does not exist, and does not create it`() throws {
        for words in [
            ["list"], ["show", "1"], ["stats"], ["cancel", "1"], ["prune", "--keep=1"],
        ] {
            let failure = try jobs.failure(words)
            #expect(failure.status == 1 && failure.text.contains("does not exist"))
        }
        #expect(!FileManager.default.fileExists(atPath: jobs.store))
    }

    @Test func `names a file that is no job store`() throws {
        try "no database".write(toFile: jobs.store, atomically: false, encoding: .utf8)
        let failure = try jobs.failure(["list"])
        #expect(failure.status == 1)
        #expect(failure.text.contains("cannot open the job store '\(jobs.store)'"))
    }
}
