import GRDB
import NSQJobs

/// Counts the words of one text. Counting twice does no harm, so the job is idempotent.
public struct CountWords: Job {
    public static let options = JobOptions(
        queue: "words",
        retry: JobRetryPolicy(maxAttempts: 2, firstDelay: .milliseconds(50)))

    /// The identity of the text.
    public var text: Int64

    /// One job per text waits or runs at a time, and its status is found by this key.
    public var uniqueKey: String? { "text-\(text)" }

    public init(text: Int64) {
        self.text = text
    }

    struct NoWords: Error, CustomStringConvertible {
        let description = "the text has no words"
    }

    /// The application registers a handler that has its database, so this one is not called.
    public func perform(_ context: JobContext) async throws {}

    func perform(_ context: JobContext, in database: any DatabaseWriter) async throws {
        let id = text
        let body = try await database.read { try Text.fetchOne($0, key: id)?.body }
        guard let body else { throw JobInterruption.cancel("the text was deleted") }
        let words = body.split(whereSeparator: \.isWhitespace).count
        guard words > 0 else { throw NoWords() }
        try await database.write { database in
            try database.execute(
                sql: "UPDATE text SET words = ? WHERE id = ?", arguments: [words, id])
        }
        try await context.setOutput(words)
    }
}
