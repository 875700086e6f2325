import NSQJobs
import TallyBasics
import Testing

@testable import LivePage

@Suite struct `The history of the jobs` {
    private func time(_ second: Double) -> JobTime {
        JobTime(microseconds: Int64((1_000 + second) * 1_000_000))
    }

    private func queue(_ name: String, completed: Int, failed: Int = 0) -> QueueSnapshot {
        var timings: [JobTiming.Kind: JobTiming] = [:]
        for (kind, count) in [(JobTiming.Kind.completed, completed), (.failed, failed)] {
            var timing = JobTiming()
            timing.add(count, bucket: 40)
            timings[kind] = timing
        }
        return QueueSnapshot(
            QueueCounts(queue: name, isPaused: false, counts: [:]), timings: timings)
    }

    @Test func `has what was added between two readings, by second`() {
        var history = JobsHistory()
        history.record([queue("a", completed: 500)], at: time(0.02))
        #expect(history.seconds.isEmpty)
        history.record([queue("a", completed: 507, failed: 1)], at: time(1.02))
        history.record([queue("a", completed: 507, failed: 1)], at: time(2.02))
        history.record([queue("a", completed: 508, failed: 1)], at: time(2.5))
        history.record(
            [queue("a", completed: 509, failed: 1), queue("b", completed: 0)], at: time(3.02))
        #expect(history.seconds.map(\.second) == [1_000, 1_002])
        #expect(history.seconds.map { $0.total[.completed]?.count } == [7, 2])
        #expect(history.seconds[0].total[.failed]?.count == 1)
        #expect(history.window.ended.count == 10)
        #expect(history.rate(of: "a", at: time(3.02)) == 1)
        #expect(history.rate(of: "b", at: time(3.02)) == 0)
        #expect(history.rate(of: "a", at: time(60)) == 0)
    }

    @Test func `has two minutes, and nothing of queues without attempts`() {
        var history = JobsHistory()
        for second in 0...300 {
            history.record([queue("a", completed: second * 3)], at: time(Double(second) + 0.02))
        }
        #expect(history.seconds.count == JobsHistory.maxSeconds)
        #expect(history.window.ended.count == 3 * JobsHistory.maxSeconds)
        history.record([queue("a", completed: 900)], at: time(900))
        #expect(history.seconds.isEmpty && history.windows.isEmpty)
    }

    @Test func `survives a wall clock that is set back, and counters that fall`() {
        var history = JobsHistory()
        history.record([queue("a", completed: 5)], at: time(50))
        history.record([queue("a", completed: 6)], at: time(51))
        history.record([queue("a", completed: 8)], at: time(20))
        #expect(history.seconds.count == 1)
        #expect(history.window.ended.count == 3)
        history.record([queue("a", completed: 1)], at: time(52))
        #expect(history.window.ended.count == 3)
    }

    @Test func `has a limit of queues`() {
        var history = JobsHistory()
        let names = (0..<500).map { "q\($0)" }
        history.record(names.map { queue($0, completed: 0) }, at: time(0))
        history.record(names.map { queue($0, completed: 1) }, at: time(1.02))
        #expect(history.windows.count == JobsHistory.maxQueues)
    }
}

@Suite struct `The list of changes of many jobs` {
    private let now = JobTime(microseconds: 1)
    private let preview = JobQueryPreview(count: 5, isComplete: true)

    @Test func `has a limit of running and of ended changes`() {
        var list = JobBulkOperationList()
        var numbers: [Int] = []
        for _ in 0..<JobBulkOperationList.maxRunning {
            numbers.append(list.start("retry", target: "all", preview, at: now)!.number)
        }
        #expect(list.start("retry", target: "all", preview, at: now) == nil)
        for _ in 0..<30 {
            list.update(numbers[0]) { $0.end(.finished, at: now) }
            numbers[0] = list.start("retry", target: "all", preview, at: now)!.number
        }
        let ended = list.operations.filter { $0.state != .running }
        #expect(ended.count == JobBulkOperationList.maxEnded)
        #expect(list.operations.count { $0.state == .running } == JobBulkOperationList.maxRunning)
        #expect(Set(numbers).isSubset(of: list.operations.map(\.number)))
    }

    @Test func `writes a cancelled change into the log as such`() {
        var operation = JobBulkOperation(
            number: 1, action: "retry", target: "all jobs", preview: preview, at: now)
        var result = JobBulkResult()
        result.changed = 3
        operation.advance(to: result)
        operation.end(.cancelled, at: now)
        #expect(
            operation.logEntry
                == NewJobAction("retry", target: "all jobs", changed: 3, error: "cancelled"))
    }
}
