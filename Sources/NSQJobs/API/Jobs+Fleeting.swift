import NSQClient

extension Jobs {
    /// - Throws: ``JobsError/Code/invalidOption`` if a fleeting job has a property that only a stored
    ///   job can have.
    func checkFleeting(_ jobs: [NewJob], at now: JobTime) throws(JobsError) {
        for job in jobs where job.options.grade == .fleeting {
            guard job.uniqueKey == nil else {
                throw JobsError(.invalidOption, "a fleeting job cannot have a unique key")
            }
            guard job.options.tags.isEmpty else {
                throw JobsError(.invalidOption, "a fleeting job cannot have tags")
            }
            guard job.dependencies == nil, job.batch == nil, job.limitKey == nil else {
                throw JobsError(
                    .invalidOption,
                    "a fleeting job cannot wait for others, or have a batch or a limit key")
            }
            guard job.dueAt.map({ $0 - now <= FleetingMessage.maxDelay }) ?? true else {
                throw JobsError(
                    .invalidOption, "a fleeting job can be delayed by at most an hour")
            }
            guard broker != nil else {
                throw JobsError(.invalidOption, "a fleeting job needs NSQ")
            }
        }
    }

    /// Publishes fleeting jobs, which are not stored, and returns when nsqd has accepted them.
    ///
    /// - Throws: ``JobsError/Code/brokerFailed``. Some of the jobs may have been accepted.
    func publishFleeting(
        _ jobs: [NewJob], at now: JobTime
    ) async throws(JobsError) -> [EnqueueReceipt] {
        guard let broker else { throw JobsError(.invalidOption, "a fleeting job needs NSQ") }
        let messages = jobs.map {
            FleetingMessage($0, id: .randomFleeting(), createdAt: now)
        }
        do throws(NSQError) {
            for (topic, group) in Dictionary(grouping: messages, by: { $0.topic }) {
                let delayed = group.filter { ($0.job.dueAt ?? now) > now }
                for message in delayed {
                    try await broker.producer.publish(
                        message.body, to: topic.name, after: (message.job.dueAt ?? now) - now)
                }
                var rest = group.filter { ($0.job.dueAt ?? now) <= now }[...]
                while let batch = rest.removeBatch() {
                    try await broker.producer.publish(PublishBatch(batch), to: topic.name)
                }
            }
        } catch {
            throw JobsError(.brokerFailed, "cannot publish a fleeting job: \(error)")
        }
        return messages.map { EnqueueReceipt($0.id, .new) }
    }
}

extension FleetingMessage {
    var topic: JobTopic {
        JobTopic(queue: job.options.queue, priority: job.options.priority)
    }
}

extension ArraySlice<FleetingMessage> {
    /// The maximum size of the bodies in one `MPUB`, unless a single one is larger. nsqd allows 5 MiB.
    private static var maxBatchBytes: Int { 1 << 20 }

    /// Removes the bodies of the next `MPUB`; `nil` if there are none.
    fileprivate mutating func removeBatch() -> [[UInt8]]? {
        var (bodies, size): ([[UInt8]], Int) = ([], 0)
        while let next = first, bodies.count < JobPublisher.maxBatchCount {
            let body = next.body
            guard bodies.isEmpty || size + body.count <= Self.maxBatchBytes else { break }
            bodies.append(body)
            size += body.count
            removeFirst()
        }
        return bodies.isEmpty ? nil : bodies
    }
}
