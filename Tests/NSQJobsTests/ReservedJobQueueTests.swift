import Testing

@testable import NSQJobs

@Suite struct `The queue of jobs to publish` {
    private var queue = ReservedJobQueue()

    private func publication(
        _ id: Int64, _ queue: String, _ priority: JobPriority = .normal
    ) -> ReservedJob {
        ReservedJob(
            JobReference(id: JobID(id), version: 1),
            to: JobTopic(queue: queue, priority: priority), name: "n")
    }

    private mutating func remove(limit: Int = 10) -> [Int64] {
        queue.removeBatch(limit: limit).map(\.reference.id.number)
    }

    @Test mutating func `puts jobs of one topic into one batch, although others are between them`()
    {
        queue.append([1, 3, 5].flatMap { [publication($0, "a"), publication($0 + 1, "b")] })
        #expect(remove() == [1, 3, 5])
        #expect(remove() == [2, 4, 6])
        #expect(remove() == [])
    }

    @Test mutating func `returns higher priorities first, and topics in turn`() {
        queue.append([
            publication(1, "a", .low), publication(2, "a"), publication(3, "a"),
            publication(4, "b"), publication(5, "a", .high),
        ])
        #expect(remove(limit: 1) == [5])
        #expect(remove(limit: 1) == [2])
        #expect(remove(limit: 1) == [4])
        queue.append([publication(6, "b", .high)])
        #expect(remove(limit: 1) == [6])
        #expect(remove(limit: 1) == [3])
        #expect(remove(limit: 1) == [1])
        #expect(remove(limit: 1) == [])
    }
}
