import DequeModule

/// The jobs that wait to be published, without I/O and clock.
///
/// A publish contains jobs of one topic, in the order in which they were added. Higher priorities come
/// first, and the topics of one priority take turns.
struct ReservedJobQueue {
    private var waiting: [JobTopic: Deque<ReservedJob>] = [:]
    /// The topics with jobs, for each priority.
    private var topics: [Deque<JobTopic>] = JobPriority.allCases.map { _ in [] }

    /// Adds jobs.
    mutating func append(_ publications: some Sequence<ReservedJob>) {
        for publication in publications {
            let topic = publication.topic
            if waiting[topic] == nil { topics[topic.priority.rawValue].append(topic) }
            waiting[topic, default: []].append(publication)
        }
    }

    /// Removes the jobs of the next publish.
    ///
    /// - Returns: at most `limit` jobs of one topic; empty if none wait.
    mutating func removeBatch(limit: Int) -> [ReservedJob] {
        guard let priority = topics.firstIndex(where: { !$0.isEmpty }) else { return [] }
        let topic = topics[priority].removeFirst()
        var rest = waiting.removeValue(forKey: topic) ?? []
        let batch = Array(rest.prefix(limit))
        rest.removeFirst(batch.count)
        if !rest.isEmpty {
            topics[priority].append(topic)
            waiting[topic] = rest
        }
        return batch
    }
}
