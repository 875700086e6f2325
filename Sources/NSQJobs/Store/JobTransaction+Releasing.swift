import GRDB

extension JobTransaction {
    /// Cancels the reservations of jobs that were published before a time; see
    /// ``JobStore/releasePublished(before:limit:policy:at:)``.
    func releasePublished(
        before time: JobTime, limit: Int, policy: PublishPolicy, at now: JobTime
    ) throws -> Int {
        var released = 0
        for topic in try availableTopics() where released < limit {
            released += try release(
                topic, before: time, limit: limit - released, policy: policy, at: now)
        }
        return released
    }

    /// The time of a publish is not stored. It is computed: the time of the next publish, minus the
    /// delay of ``PublishPolicy``, which doubles with each publish.
    private func release(
        _ topic: AvailableTopic, before time: JobTime, limit: Int, policy: PublishPolicy,
        at now: JobTime
    ) throws -> Int {
        let update = try database.cachedStatement(
            sql: """
                UPDATE nsq_jobs_job SET publish_at = 0, publish_count = max(0, publish_count - 1)
                WHERE id IN (
                    SELECT id FROM nsq_jobs_job
                    WHERE state = 1 AND queue_id = ? AND priority = ? AND publish_at > ?
                        AND publish_at - min(?, ? << min(max(publish_count - 1, 0), 16)) <= ?
                    LIMIT ?)
                """)
        try update.execute(arguments: [
            topic.queue, topic.priority.rawValue, now.microseconds,
            policy.maxRepublishDelay.microsecondsRoundedUp,
            policy.republishDelay.microsecondsRoundedUp, time.microseconds, limit,
        ])
        return database.changesCount
    }
}
