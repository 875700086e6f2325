import NSQJobs
import TallyBasics
import TallyJSON

/// Encodes the events of the jobs page.
enum JobsPageJSON {
    /// The number of seconds in an update. A browser that missed more receives the whole state.
    private static let secondsInUpdate = 10

    /// The maximum number of running jobs that are listed for one worker.
    private static let maxJobsOfWorker = 10

    /// Returns the whole state for a browser that connects.
    ///
    /// - Parameters:
    ///   - started: the start of the page, in milliseconds since 1970.
    ///   - isBesideVideos: `true` if the server also has the videos page.
    ///   - hasTopics: `true` if the server also has the pages of topics and nodes.
    static func state(
        _ state: JobsPageState, started: Int64, isBesideVideos: Bool, hasTopics: Bool,
        now: JobTime
    ) -> [UInt8] {
        let settings = JSONWriter.object { json in
            json.member("started", Int(started))
            json.member("has_videos", isBesideVideos)
            json.member("has_topics", hasTopics)
        }
        // While the store cannot be read, the page shows the time of the last successful reading.
        let time = state.problem == nil ? now : state.time
        return joined([
            member("time", time.milliseconds), Array(#""settings":"#.utf8) + settings,
            body(of: state, allSeconds: true),
        ])
    }

    /// Returns an update.
    ///
    /// - Parameter body: the result of ``body(of:allSeconds:)``.
    static func update(_ body: [UInt8], at time: JobTime) -> [UInt8] {
        joined([member("time", time.milliseconds), body])
    }

    private static func member(_ name: String, _ value: Int) -> [UInt8] {
        Array("\"\(name)\":\(value)".utf8)
    }

    private static func joined(_ members: [[UInt8]]) -> [UInt8] {
        [UInt8(ascii: "{")] + members.joined(separator: [UInt8(ascii: ",")])
            + [UInt8(ascii: "}")]
    }

    /// Returns the members that change, without the time.
    static func body(of state: JobsPageState, allSeconds: Bool) -> [UInt8] {
        let queues = state.snapshot.queues
        func total(_ state: JobState) -> Int { queues.reduce(0) { $0 + $1.counts[state] } }
        let object = JSONWriter.object { json in
            json.name("problem")
            json.add(optional: state.problem)
            json.name("totals")
            json.object { json in
                for state in JobState.allCases { json.member("\(state)", total(state)) }
            }
            json.member("queue_count", queues.count)
            json.name("queues")
            json.array(queues.prefix(JobsHistory.maxQueues)) { write($1, state, to: &$0) }
            json.name("workers")
            let running = Dictionary(grouping: state.snapshot.running, by: \.worker)
            json.array(state.snapshot.workers) { write($1, running[$1.number] ?? [], to: &$0) }
            json.name("errors")
            json.array(state.snapshot.errors) { write($1, to: &$0) }
            json.name("operations")
            json.array(state.operations.reversed()) { write($1, to: &$0) }
            json.name("actions")
            json.array(state.actions) { write($1, to: &$0) }
            json.name("seconds")
            let count = allSeconds ? JobsHistory.maxSeconds : secondsInUpdate
            json.array(state.history.seconds.suffix(count)) { write($1, to: &$0) }
            let window = state.history.window
            json.name("waits")
            write(window[.wait] ?? JobTiming(), to: &json)
            json.name("durations")
            write(window.ended, to: &json)
        }
        return Array(object.dropFirst().dropLast())
    }

    // MARK: Parts

    private static func write(
        _ queue: QueueSnapshot, _ state: JobsPageState, to json: inout JSONWriter
    ) {
        let name = queue.counts.queue
        let window = state.history.windows[name] ?? [:]
        json.object { json in
            json.member("queue", name)
            json.member("paused", queue.counts.isPaused)
            json.name("counts")
            json.object { json in
                for state in JobState.allCases { json.member("\(state)", queue.counts[state]) }
            }
            json.member("limit", queue.counts.limit.map(LimitJSON.init))
            json.member("key_limit", queue.counts.keyLimit.map(LimitJSON.init))
            json.member("waiting_for_limit", queue.counts.waitingForLimit)
            json.name("oldest")
            json.add(optional: queue.oldestDue?.milliseconds)
            json.member("rate", state.history.rate(of: name, at: state.time))
            json.name("wait_us")
            json.add(optional: window[.wait]?.quantile(0.95).map { Int($0) })
            json.name("duration_us")
            json.add(optional: window.ended.quantile(0.95).map { Int($0) })
        }
    }

    private static func write(
        _ worker: WorkerSnapshot, _ running: [RunningJob], to json: inout JSONWriter
    ) {
        json.object { json in
            json.member("number", Int(worker.number))
            json.member("name", worker.name)
            json.member("queues", worker.queues)
            json.member("concurrency", worker.concurrency)
            json.member("started", worker.startedAt.milliseconds)
            json.member("seen", worker.seenAt.milliseconds)
            json.name("memory")
            json.add(optional: worker.memory)
            json.member("running", running.count)
            json.name("jobs")
            json.array(running.prefix(maxJobsOfWorker)) { json, job in
                json.object { json in
                    json.member("id", Int(job.id.number))
                    json.member("name", job.name)
                    json.member("queue", job.queue)
                    json.member("attempt", job.attempt)
                    json.member("started", job.startedAt.milliseconds)
                    json.member("cancel_requested", job.isCancelRequested)
                }
            }
        }
    }

    private static func write(_ group: JobErrorGroup, to json: inout JSONWriter) {
        json.object { json in
            json.member("number", Int(group.number))
            json.member("name", group.name)
            json.member("error", group.error)
            json.member("count", group.count)
            json.member("latest_job", Int(group.latestJob.number))
            json.member("latest", group.latestAt.milliseconds)
        }
    }

    private static func write(_ operation: JobBulkOperation, to json: inout JSONWriter) {
        json.object { json in
            json.member("number", operation.number)
            json.member("action", operation.action)
            json.member("target", operation.target)
            json.member("count", operation.preview.count)
            json.member("complete", operation.preview.isComplete)
            json.member("state", operation.state.rawValue)
            json.member("changed", operation.result.changed)
            json.member("unchanged", operation.result.unchanged)
            json.name("error")
            json.add(optional: operation.error)
            json.member("started", operation.startedAt.milliseconds)
        }
    }

    static func write(_ action: JobAction, to json: inout JSONWriter) {
        json.object { json in
            json.member("number", Int(action.number))
            json.member("time", action.at.milliseconds)
            json.member("action", action.action.action)
            json.member("target", action.action.target)
            json.member("changed", action.action.changed)
            json.member("unchanged", action.action.unchanged)
            json.name("error")
            json.add(optional: action.action.error)
        }
    }

    private static func write(_ second: JobsHistory.Second, to json: inout JSONWriter) {
        let total = second.total
        json.object { json in
            json.member("second", Int(second.second))
            json.member("completed", total[.completed]?.count ?? 0)
            json.member("failed", total[.failed]?.count ?? 0)
            for (name, timing) in [("wait_us", total[.wait]), ("duration_us", total.ended)] {
                json.name(name)
                json.add(optional: timing?.quantile(0.95).map { Int($0) })
            }
        }
    }

    /// Writes a histogram as pairs of the upper bound of a bucket in microseconds and its count.
    private static func write(_ timing: JobTiming, to json: inout JSONWriter) {
        json.array(timing.counts.sorted { $0.key < $1.key }) { json, bucket in
            json.add([Int(JobTiming.upperBound(of: bucket.key)), bucket.value])
        }
    }
}

extension JSONWriter {
    fileprivate mutating func add(optional value: (some JSONWritable)?) {
        if let value { add(value) } else { null() }
    }
}

extension JobTime {
    /// The milliseconds since 1970.
    var milliseconds: Int { Int(microseconds / 1_000) }
}
