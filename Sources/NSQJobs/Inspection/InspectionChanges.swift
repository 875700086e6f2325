import GRDB
import TallyBasics

/// What one transaction adds to the statistics of attempts and to the names of jobs. It is written once,
/// at the end of the transaction, so that it costs little for each job.
struct InspectionChanges {
    private struct Bucket: Hashable {
        let queue: Int64
        let kind: JobTiming.Kind
        let number: Int
    }

    /// The maximum number of names that the store keeps for completions.
    static let maxNames = 1_000

    private var buckets: [Bucket: Int] = [:]
    private var names: Set<String> = []

    mutating func add(_ duration: Duration, _ kind: JobTiming.Kind, queue: Int64) {
        let bucket = Bucket(queue: queue, kind: kind, number: JobTiming.bucket(of: duration))
        buckets[bucket, default: 0] += 1
    }

    mutating func add(name: String) { names.insert(name) }

    mutating func write(to database: Database) throws {
        try writeNames(to: database)
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

    private mutating func writeNames(to database: Database) throws {
        guard !names.isEmpty else { return }
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO nsq_jobs_name SELECT ?1
                WHERE NOT EXISTS (SELECT 1 FROM nsq_jobs_name WHERE name = ?1)
                    AND (SELECT count(*) FROM nsq_jobs_name) < ?2
                """)
        for name in names.prefix(Self.maxNames) {
            try statement.execute(arguments: [name, Self.maxNames])
        }
        names = []
    }
}
