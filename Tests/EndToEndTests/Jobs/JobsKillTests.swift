import Foundation
import TestKit
import TestTraits
import Testing
import UVLoop

/// Kills workers and `tally jobs serve` at random times, while other processes store jobs and are killed
/// too. Each job appends a line to a file.
///
/// `TALLY_KILLS` sets the number of rounds (default 20), and `TALLY_SEED` repeats a run.
@Suite(.blocking, .serialized) struct `Background jobs whose processes are killed` {
    private static let rounds =
        ProcessInfo.processInfo.environment["TALLY_KILLS"].flatMap { Int($0) } ?? 20

    private let jobs: JobsFolder
    private let ports: [PortReservation]

    init() throws {
        jobs = try JobsFolder()
        ports = try (0..<2).map { _ in try #require(PortReservation()) }
    }

    private func startServer() throws -> JobsServer {
        try JobsServer(
            jobs, tcpAddress: ports[0].address, apiAddress: ports[1].address,
            "--republish-delay=500ms")
    }

    private func startWorker(_ words: String...) throws -> BuiltProcess {
        let script =
            #"echo "$TALLY_JOB_ID $TALLY_JOB_ATTEMPT" >>ran; sleep 0.0$((TALLY_JOB_ID % 10))"#
        return try jobs.start(
            [
                "work", "--nsqd-tcp-address=\(ports[0].address)", "--concurrency=4", "--lease=1s",
                "--republish-delay=500ms",
            ] + words + ["--", "sh", "-c", script])
    }

    private enum Victim: CaseIterable { case worker, server, both }

    @Test func `run to an end, and twice only if the worker died between its work and its commit`()
        throws
    {
        var generator = SeededGenerator()
        var (server, worker) = (try startServer(), try startWorker())
        var enqueues: [BuiltProcess] = []
        for round in 0..<Self.rounds {
            let count = Int.random(in: 1...40, using: &generator)
            let numbers = try jobs.numbers((round * 1_000 + 1)...(round * 1_000 + count))
            let enqueue = try jobs.start(["enqueue", "append", "--args-file=\(numbers)"])
            enqueues.append(enqueue)
            // The random pause lets a kill hit any step of a job.
            Thread.sleep(forTimeInterval: .random(in: 0...0.4, using: &generator))
            if Int.random(in: 0..<3, using: &generator) == 0 { enqueue.send(SIGKILL) }
            let victim = Victim.allCases.randomElement(using: &generator)
            if victim != .server {
                worker.send(SIGKILL)
                #expect(worker.status() == -SIGKILL)
            }
            if victim != .worker {
                server.process.send(SIGKILL)
                #expect(server.process.status() == -SIGKILL)
                server = try startServer()
            }
            if victim != .server { worker = try startWorker() }
        }
        for enqueue in enqueues { _ = enqueue.status() }
        let again = Comment(rawValue: generator.repetition(of: "JobsKill"))
        #expect(try eventually { try unfinished() == 0 }, again)
        worker.send(SIGTERM)
        #expect(worker.status() == 0)
        server.stop()
        try checkRuns(again)
    }

    private func unfinished() throws -> Int {
        try jobs.statistics().queues.reduce(0) {
            $0 + $1.scheduled + $1.available + $1.running + $1.retryable
        }
    }

    /// Compares the lines that the jobs have written with the jobs and attempts of the store.
    private func checkRuns(_ again: Comment) throws {
        let text = try String(contentsOfFile: jobs.folder.path("ran"), encoding: .utf8)
        var runs: [Int: [Int]] = [:]
        for line in text.split(separator: "\n") {
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            try #require(numbers.count == 2, again)
            runs[numbers[0], default: []].append(numbers[1])
        }
        var stored = 0
        var (doubles, page) = (0, try jobs.list("--limit=1000"))
        while true {
            for job in page.jobs {
                stored += 1
                #expect(job.state == "completed", again)
                let attempts = runs.removeValue(forKey: job.id) ?? []
                #expect(!attempts.isEmpty, "job \(job.id) did not run; \(again)")
                guard attempts.count > 1 else { continue }
                doubles += attempts.count - 1
                let expired = try jobs.show(job.id).attempts?.filter { $0.result == "leaseExpired" }
                let lost = Set(expired?.map(\.number) ?? [])
                // Each run but the last one is an attempt whose worker died.
                #expect(Set(attempts.dropLast()).isSubset(of: lost), again)
                #expect(Set(attempts).count == attempts.count, again)
            }
            guard let next = page.next else { break }
            page = try jobs.list("--limit=1000", "--before=\(next)")
        }
        #expect(runs.isEmpty, "jobs ran that are not stored: \(runs.keys.sorted()); \(again)")
        print("\(Self.rounds) rounds, \(stored) jobs, \(doubles) doubles")
    }
}
