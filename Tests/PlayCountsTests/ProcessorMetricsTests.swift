import TallyBasics
import TestTraits
import Testing
import UVLoop

@testable import PlayCounts

@Suite(.blocking) struct `The metrics of commits` {
    private var commits: CommitStateMachine<Int>
    private var received = 0

    init() {
        var settings = PlayProcessor.Settings()
        settings.storeProbeInterval = .seconds(2)
        settings.minStoreRetryDelay = .seconds(1)
        settings.jitterSeed = 1
        commits = CommitStateMachine(
            counter: PlayCounter(), deduplication: DeduplicationWindow(at: .start),
            settings: settings, at: .start)
    }

    @Test mutating func `have the duration of each commit, and its plays`() {
        receive(plays: 1)
        commit(from: .zero, to: .milliseconds(2))
        receive(plays: 5)
        commit(from: .seconds(1), to: .milliseconds(1_200))
        #expect(commits.metrics.durations.count == 2)
        #expect(Self.count(upTo: "0.003", in: commits.metrics.durations) == 1)
        #expect(Self.count(upTo: "0.3", in: commits.metrics.durations) == 2)
        #expect(commits.metrics.plays.count == 2)
        #expect(commits.metrics.plays.sum == 6)
        #expect(Self.count(upTo: "1", in: commits.metrics.plays) == 1)
    }

    @Test mutating func `omit commits that only show whether the store works`() {
        commit(from: .seconds(2), to: .seconds(3))
        #expect(commits.metrics.durations.count == 0)
        #expect(commits.metrics.plays.count == 0)
    }

    @Test mutating func `omit the plays of a commit that only records accepted counts`() {
        commits.callAccepted(by: 1, [PlayCount(of: video(1), 1)], at: .start)
        commit(from: .seconds(1), to: .seconds(2))
        #expect(commits.metrics.durations.count == 1)
        #expect(commits.metrics.plays.count == 0)
    }

    @Test mutating func `count failures, and measure a repetition from its own start`() {
        receive(plays: 1)
        begin(at: .zero)
        commits.commitFailed(at: .start + .seconds(5))
        #expect(commits.metrics.failures == 1)
        commit(from: .seconds(10), to: .seconds(12))
        #expect(commits.metrics.failures == 1)
        #expect(commits.metrics.durations.sum == 2)
    }

    @Test mutating func `have the oldest message that is not committed`() {
        #expect(commits.oldestPublishTime == nil)
        receive(plays: 1, publishedAt: .seconds(3))
        begin(at: .seconds(9))
        receive(plays: 1, publishedAt: .seconds(8))
        #expect(commits.oldestPublishTime == .start + .seconds(3))
        commits.commitFailed(at: .start + .seconds(10))
        #expect(commits.oldestPublishTime == .start + .seconds(3))
        commit(from: .seconds(20), to: .seconds(21))
        #expect(commits.oldestPublishTime == .start + .seconds(8))
        commit(from: .seconds(22), to: .seconds(23))
        #expect(commits.oldestPublishTime == nil)
    }

    private mutating func receive(plays: Int, publishedAt publish: Duration = .zero) {
        for _ in 0..<plays {
            received += 1
            let key = (UInt64(received), UInt64(0))
            let fingerprint = Fingerprinter(key: key).source(
                nsqd: "", topic: PlayCountsTests.plays)
            _ = commits.count(Play(of: video(received)), fingerprint, at: .start)
        }
        commits.append(
            received, messages: plays, limit: 1_000, publishedAt: .start + publish, at: .start)
    }

    private mutating func begin(at time: Duration) {
        let action = commits.nextAction(at: .start + time, isStopping: false)
        switch action {
        case .commit, .retryCommit: break
        default: Issue.record("there is no commit, but \(String(describing: action))")
        }
    }

    private mutating func commit(from start: Duration, to end: Duration) {
        begin(at: start)
        commits.commitSucceeded(at: .start + end)
        _ = commits.nextAction(at: .start + end, isStopping: false)
        _ = commits.nextAction(at: .start + end, isStopping: false)
    }

    private static func count(upTo bound: String, in histogram: PrometheusHistogram) -> Int? {
        histogram.cumulative.first { $0.bound == bound }?.count
    }
}

@Suite(.blocking) struct `The unpublished counts of a client` {
    private var scheduler = CallScheduler()

    @Test mutating func `are those that are pending or in calls without an answer`() {
        #expect(scheduler.unpublishedVideos == 0)
        scheduler.enqueue((1...3).map { change($0, count: 1, immediate: true) })
        let calls = scheduler.startDueCalls(at: .start)
        scheduler.enqueue([change(1, count: 2, at: .seconds(1), immediate: true)])
        #expect(scheduler.unpublishedVideos == 3)
        calls.forEach { scheduler.callAccepted($0) }
        #expect(scheduler.unpublishedVideos == 1)
    }

    @Test mutating func `are as old as the oldest play that no accepted call contains`() {
        #expect(scheduler.oldestArrival == nil)
        scheduler.enqueue([
            change(1, count: 700, at: .seconds(5)), change(2, count: 700, at: .seconds(6)),
        ])
        #expect(scheduler.oldestArrival == .start + .seconds(5))
        scheduler.enqueue([change(1, count: 701, at: .seconds(7))])
        let calls = scheduler.startDueCalls(at: .start, flushing: true)
        scheduler.enqueue([change(3, count: 1, at: .seconds(9), immediate: true)])
        #expect(scheduler.oldestArrival == .start + .seconds(5))
        calls.forEach { scheduler.callAccepted($0) }
        #expect(scheduler.oldestArrival == .start + .seconds(9))
    }

    /// The batched count is older, although the immediate count has the earlier deadline.
    @Test mutating func `are as old as a batched count if that is older than an immediate one`() {
        scheduler.enqueue([change(1, count: 700, at: .seconds(5))])
        scheduler.enqueue([change(2, count: 1, at: .seconds(9), immediate: true)])
        #expect(scheduler.oldestArrival == .start + .seconds(5))
        for call in scheduler.startDueCalls(at: .start + .seconds(9)) {
            scheduler.callFailed(call, retryAt: .start + .seconds(20))
        }
        #expect(scheduler.oldestArrival == .start + .seconds(5))
    }

    @Test mutating func `have the arrival of each video of a call`() {
        var settings = CallScheduler.Settings()
        settings.coalesce = .milliseconds(20)
        scheduler = CallScheduler(settings)
        scheduler.enqueue([
            change(1, count: 1, at: .seconds(3), immediate: true), change(2, count: 700),
        ])
        let calls = scheduler.startDueCalls(at: .start + .seconds(4))
        #expect(
            calls.flatMap(\.videos).map(scheduler.arrival) == [.start + .seconds(3), .start])
    }
}

@Suite(.blocking) struct `A processor's problem` {
    private var metrics = ProcessorMetrics()
    private let error = StoreError(.full, path: "counts.sqlite")

    @Test mutating func `does not exist while a store works and an nsqd is connected`() {
        metrics.connections = 1
        #expect(metrics.problem == nil)
    }

    @Test mutating func `is the store, the connection, the stop or the end`() {
        #expect(metrics.problem == "no connection to an nsqd")
        metrics.lastCommitError = error
        #expect(metrics.problem == "\(error)")
        metrics.connections = 1
        #expect(metrics.problem == "\(error)")
        metrics.phase = .stopping
        #expect(metrics.problem == "stopping")
        metrics.phase = .ended
        #expect(metrics.problem == "counting has stopped: \(error)")
    }
}

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The metrics of a processor` {
    @Test func `count plays, repetitions, rejections, commits and calls`() async throws {
        try await withProcessor { fixture in
            fixture.onEvent = { event in
                guard case .finished = event, fixture.finished == 4 else { return }
                let metrics = fixture.processor.metrics
                #expect(metrics.statistics.counted == 2)
                #expect(metrics.statistics.duplicates == 1)
                #expect(metrics.statistics.rejected == [.notJSON: 1])
                #expect(metrics.storedPlays == 2)
                #expect(metrics.videos == 2)
                #expect(metrics.connections == 1)
                #expect(metrics.commits.plays.sum == 2)
                let text = Self.text(of: metrics)
                #expect(text.contains("\ntally_plays_counted_total 2\n"))
                #expect(
                    text.contains("\ntally_messages_rejected_total{reason=\"not_json\"} 1\n"))
                #expect(text.contains("\ntally_store_healthy 1\n"))
                fixture.stop()
            }
            fixture.start()
            fixture.publish([play(1, named: "a"), play(1, named: "a"), play(2), "rubbish"])
        }
    }

    @Test func `count failed calls and retries of a client, and the latency of its calls`()
        async throws
    {
        try await withProcessor(settings: { $0.minRetryDelay = .milliseconds(1) }) { fixture in
            fixture.client.behavior = .refuses
            fixture.client.onRefusal = {
                let client = fixture.processor.metrics.clients[0]
                #expect(client.client == "fixture")
                #expect(client.unpublishedVideos == 1)
                #expect(client.failedCalls == client.retries + 1)
                if client.failedCalls == 3 { fixture.client.behavior = .accepts }
            }
            fixture.onEvent = { event in
                guard case .called = event else { return }
                fixture.loop.runInNextIteration {
                    let client = fixture.processor.metrics.clients[0]
                    #expect(client.failedCalls == 3)
                    #expect(client.retries == 3)
                    #expect(client.immediateCalls == 1)
                    #expect(client.batchedCalls == 0)
                    #expect(client.immediateLatency.count == 1)
                    #expect(client.unpublishedVideos == 0)
                    #expect(client.oldestUnpublished == .zero)
                    fixture.stop()
                }
            }
            fixture.start()
            fixture.publish([1])
        }
    }

    @Test func `show that the store does not work, until it works again`() async throws {
        let store = try PlayStore(.temporary())
        try store.limitPages(to: 1)
        try await withProcessor(
            store: store, settings: { $0.minStoreRetryDelay = .milliseconds(10) }
        ) { fixture in
            fixture.onEvent = { event in
                switch event {
                case .storeFailed:
                    let metrics = fixture.processor.metrics
                    #expect(metrics.lastCommitError?.kind == .full)
                    #expect(metrics.commits.failures == 1)
                    #expect(metrics.statistics.counted == 0)
                    #expect(metrics.backlogAge > .zero)
                    #expect(Self.text(of: metrics).contains("\ntally_store_healthy 0\n"))
                    #expect(throws: Never.self) { try store.limitPages(to: 1_000_000) }
                case .storeRecovered:
                    #expect(fixture.processor.metrics.problem == nil)
                case .finished where fixture.finished == 1_000:
                    #expect(fixture.processor.metrics.backlogAge == .zero)
                    fixture.stop()
                default: break
                }
            }
            fixture.start()
            fixture.publish(Array(0..<1_000))
        }
    }

    private static func text(of metrics: ProcessorMetrics) -> String {
        var text = PrometheusText()
        text.add(metrics)
        return text.text
    }
}
