import GRDB
import NSQJobs

/// What a person sees about the jobs: a few queries of the application's own database.
public struct Dashboard: Equatable, Sendable {
    /// An alert is raised from this number of failed jobs in the last 20 minutes on.
    public static let alertCount = 3

    public var articles: Int
    public var comments: Int
    public var words: Int
    public var waiting: Int
    public var completed: Int
    /// The failed jobs of the queue in the last 20 minutes.
    public var recentFailures: Int
    /// The reason of the latest failure.
    public var latestReason: String?

    /// `true` if a person should look at the queue.
    public var isAlert: Bool { recentFailures >= Self.alertCount }

    /// Reads the state of a queue.
    public init(of application: WordCounts, queue: String = "words") async throws {
        let counts = try await application.jobs.counts().first { $0.queue == queue }
        waiting = counts?.unfinished ?? 0
        completed = counts?[.completed] ?? 0
        (articles, comments, words, recentFailures, latestReason) = try await application.database
            .read { database in
                func number(_ sql: String, _ arguments: StatementArguments = []) throws -> Int {
                    try Int.fetchOne(database, sql: sql, arguments: arguments) ?? 0
                }
                let failed = """
                    FROM nsq_jobs_list WHERE queue = ? AND state = 'discarded'
                        AND finished_at >= datetime('now', '-20 minutes')
                    """
                return (
                    try number("SELECT count(*) FROM text WHERE kind = 'article'"),
                    try number("SELECT count(*) FROM text WHERE kind = 'comment'"),
                    try number("SELECT ifnull(sum(words), 0) FROM text"),
                    try number("SELECT count(*) \(failed)", [queue]),
                    try String.fetchOne(
                        database, sql: "SELECT note \(failed) ORDER BY id DESC LIMIT 1",
                        arguments: [queue])
                )
            }
    }
}

extension Dashboard: CustomStringConvertible {
    /// The lines of the dashboard.
    public var description: String {
        var lines = [
            "articles \(articles), comments \(comments), words \(words)",
            "jobs waiting \(waiting), completed \(completed), failed \(recentFailures)",
        ]
        if isAlert {
            lines.append(
                "ALERT: \(recentFailures) jobs failed in 20 minutes: \(latestReason ?? "no reason")"
            )
        }
        return lines.joined(separator: "\n")
    }
}
