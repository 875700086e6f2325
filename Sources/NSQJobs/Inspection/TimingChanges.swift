import GRDB
import TallyBasics

/// The durations that one transaction adds to the statistics of attempts. They are collected and
/// written once, at the end of the transaction, so that the cost per job is low.
struct TimingChanges {
    private struct Bucket: Hashable {
        let queue: Int64
        let kind: JobTiming.Kind
        let number: Int
    }

    private var buckets: [Bucket: Int] = [:]

    mutating func add(_ duration: Duration, _ kind: JobTiming.Kind, queue: Int64) {
        let bucket = Bucket(queue: queue, kind: kind, number: JobTiming.bucket(of: duration))
        buckets[bucket, default: 0] += 1
    }

    mutating func write(to database: Database) throws {
        guard !buckets.isEmpty else { return }
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO nsq_jobs_timing (queue_id, kind, bucket, count) VALUES (?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET count = count + excluded.count
                """)
        for (bucket, count) in buckets {
            try statement.execute(
                arguments: [bucket.queue, bucket.kind.rawValue, bucket.number, count])
        }
        buckets = [:]
    }
}
