import GRDB
import NSQJobs

/// Counts the words of one text. Counting twice does no harm, so the job is idempotent.
public struct CountWords: Job {
    public static let options = JobOptions(
        queue: "words",
        retry: JobRetryPolicy(maxAttempts: 2, firstDelay: .milliseconds(50)))

    /// The identity of the text.
    public var text: Int64

    /// The key allows only one job per text to wait or run at a time. The status of the job is found
    /// by it.
    public var uniqueKey: String? { "text-\(text)" }

    public init(text: Int64) {
        self.text = text
    }

    struct NoWords: Error, CustomStringConvertible {
        let description = "the text has no words"
    }

    /// Never called, because the application registers a handler that can use its database.
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
