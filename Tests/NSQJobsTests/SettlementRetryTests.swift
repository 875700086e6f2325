import GRDB
import Logging
import NSQJobs
import NSQTesting
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite struct `A worker whose store refuses the ends of jobs` {
    /// Makes the store refuse to end further jobs once a given number of jobs has ended.
    private struct Refusal {
        private let database: DatabaseQueue

        init(at path: String, whenEnded count: Int) throws {
            var configuration = Configuration()
            configuration.busyMode = .timeout(60)
            database = try DatabaseQueue(path: path, configuration: configuration)
            try database.write {
                try $0.execute(
                    sql: """
                        CREATE TABLE refusal (count INTEGER);
                        INSERT INTO refusal VALUES (\(count));
                        CREATE TRIGGER refuse BEFORE UPDATE ON nsq_jobs_job
                        WHEN NEW.finished_at IS NOT NULL AND (SELECT count FROM refusal) <=
                            (SELECT count(*) FROM nsq_jobs_job WHERE finished_at IS NOT NULL)
                        BEGIN SELECT RAISE(ABORT, 'refused'); END
                        """)
            }
        }

        func begin(whenEnded count: Int) throws {
            try database.write { try $0.execute(sql: "UPDATE refusal SET count = \(count)") }
        }

        func end() throws { try begin(whenEnded: .max) }
    }

    private let many = "1000 jobs"

    /// The delays until the next attempts to settle jobs, in seconds, with the number of jobs.
    private func delays(in lines: [String]) -> [(jobs: String, seconds: Double)] {
        lines.compactMap { line in
            guard let jobs = line.firstRange(of: "cannot settle "),
                let delay = line.firstRange(of: "; next attempt in "),
                let seconds = Double(line[delay.upperBound...].prefix { $0 != " " })
            else { return nil }
            return (String(line[jobs.upperBound..<delay.lowerBound]), seconds)
        }
    }

    /// The first 1,000 ended jobs are one change of the store, which succeeds after several attempts.
    /// The next change fails.
    @Test func `waits longer after each failure, and briefly after a success`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("jobs.sqlite")
        let lines = LockedValue<[String]>([])
        let configure: (inout Jobs.Configuration) -> Void = {
            $0.logger = Logger(label: "test") { _ in ListLog(lines: lines) }
        }
        try await withJobs(path: path, configure: configure) { jobs, _ in
            let refusal = try Refusal(at: path, whenEnded: 0)
            let gate = Gate()
            let recorder = Recorder()
            let worker = jobs.worker(concurrency: 1_100) {
                $0.register(Numbered.self) { job, _ in
                    recorder.record(job.number)
                    await gate.wait()
                }
            }
            try await withWorker(worker) {
                try await jobs.enqueue(contentsOf: (1...1_100).map { Numbered(number: $0) })
                try await eventually("all jobs are running") { recorder.all.count == 1_100 }
                gate.open()
                try await eventually("the store has refused 1,000 jobs five times") {
                    delays(in: lines.withLock { $0 }).filter { $0.jobs == many }.count >= 5
                }
                #expect(delays(in: lines.withLock { $0 }).last!.seconds >= 0.4)
                try refusal.begin(whenEnded: 1_000)
                var next: Double?
                try await eventually("the store has refused the other jobs") {
                    let all = delays(in: lines.withLock { $0 })
                    next = all.drop { $0.jobs != many }.first { $0.jobs != many }?.seconds
                    return next != nil
                }
                #expect(next! <= 0.05)
                try refusal.end()
                #expect(try await jobs.waitUntilEnded()[.completed] == 1_100)
            }
        }
    }
}
