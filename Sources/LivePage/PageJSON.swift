import PlayCounts
import TallyBasics
import TallyJSON

/// The run that the page shows: the time from the start of the page to its stop.
struct PageRun {
    let id: String
    /// The start of the run, in milliseconds since 1970.
    let started: Int64
}

/// The verdict of a run that has ended.
struct PageVerdict {
    let verdict: Verdict
    /// The time of the verdict, in milliseconds since 1970.
    let time: Int64
}

/// Encodes the page's events and API responses. The page guide documents the JSON keys.
enum PageJSON {
    static func call(_ call: Call, atMilliseconds time: Int64) -> [UInt8] {
        JSONWriter.object { json in
            json.member("number", call.number)
            json.member("time", Int(time))
            json.name("videos")
            json.array(call.videos) { json, video in
                json.object { json in
                    json.member("video_id", video.count.videoID.text)
                    json.member("play_count", video.count.count)
                    json.member("immediate", video.isImmediate)
                }
            }
        }
    }

    static func row(_ row: VideoTable.Row) -> [UInt8] {
        JSONWriter.object { write(row, to: &$0) }
    }

    static func rows(_ rows: [VideoTable.Row], matching: Int, of videos: Int) -> [UInt8] {
        JSONWriter.object { json in
            json.member("total", videos)
            json.member("matching", matching)
            json.name("videos")
            json.array(rows) { json, row in json.object { write(row, to: &$0) } }
        }
    }

    static func statistics(
        _ statistics: PageStatistics, _ table: VideoTable, atMilliseconds time: Int64,
        since second: Int64
    ) -> [UInt8] {
        JSONWriter.object { write(statistics, table, time, since: second, to: &$0) }
    }

    static func state(
        _ statistics: PageStatistics, _ table: VideoTable, _ settings: PageSettings,
        _ verdict: PageVerdict?, of run: PageRun, hasJobs: Bool, hasTopics: Bool,
        atMilliseconds time: Int64
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.name("run")
            json.object { json in
                json.member("id", run.id)
                json.member("started", Int(run.started))
            }
            json.name("settings")
            json.object { json in
                json.member("source", settings.source)
                json.member("has_jobs", hasJobs)
                json.member("has_topics", hasTopics)
                json.member("realtime_below", settings.realtimeBelow)
                json.member("videos_per_call", settings.videosPerCall)
                json.member("freshness_ms", Int(settings.freshness.nanoseconds / 1_000_000))
                json.member("produce_command", settings.produceCommand)
            }
            json.name("statistics")
            json.object { write(statistics, table, time, since: 0, to: &$0) }
            json.name("verdict")
            if let verdict { json.object { write(verdict, to: &$0) } } else { json.null() }
            json.name("latest_calls")
            json.array(statistics.history.entries) { json, call in
                json.object { json in
                    json.member("number", call.number)
                    json.member("time", Int(call.time))
                    json.member("immediate", call.immediateVideos)
                    json.member("batched", call.batchedVideos)
                }
            }
            let query = VideoTable.Query(limit: settings.videosInState)
            json.name("videos")
            json.array(table.rows(query).rows) { json, row in json.object { write(row, to: &$0) } }
        }
    }

    static func verdict(_ verdict: PageVerdict) -> [UInt8] {
        JSONWriter.object { write(verdict, to: &$0) }
    }

    /// - Parameter reason: why the processor has stopped; `nil` if unknown.
    static func end(_ reason: String?) -> [UInt8] {
        JSONWriter.object { $0.member("reason", reason) }
    }

    /// Writes a duration in milliseconds.
    private static func write(_ duration: Duration?, _ name: String, to json: inout JSONWriter) {
        json.member(name, duration.map { Int($0.nanoseconds / 1_000_000) })
    }

    private static func write(_ verdict: PageVerdict, to json: inout JSONWriter) {
        json.member("verdict", verdict.verdict.passes ? "pass" : "fail")
        json.member("time", Int(verdict.time))
        json.name("rules")
        json.array(verdict.verdict.rules) { json, rule in
            json.object { json in
                json.member("rule", rule.rule)
                json.member("holds", rule.holds)
                json.member("detail", rule.detail)
            }
        }
    }

    private static func write(_ row: VideoTable.Row, to json: inout JSONWriter) {
        json.member("video_id", row.videoID.text)
        json.member("play_count", row.count)
        json.member("immediate", row.isImmediate)
        json.member("call", Int(row.call))
        json.member("updated", Int(row.updated))
    }

    private static func write(
        _ statistics: PageStatistics, _ table: VideoTable, _ time: Int64, since second: Int64,
        to json: inout JSONWriter
    ) {
        json.member("time", Int(time))
        json.member("videos", table.videos)
        json.member("plays", table.plays)
        json.member("counted", statistics.counted)
        json.member("waiting_videos", statistics.waitingVideos)
        json.name("calls")
        json.object { json in
            json.member("made", statistics.calls.calls)
            json.member("immediate", statistics.calls.immediate)
            json.member("mixed", statistics.calls.mixed)
            json.member("batched", statistics.calls.batched)
            json.member("videos", statistics.calls.videos)
            json.member("empty_slots", statistics.emptySlots)
            json.member("least", statistics.leastCalls)
            json.member("ratio_thousandths", Int((statistics.callsRatio * 1000).rounded()))
        }
        json.member("worst_immediate_us", Int(statistics.worstImmediate.nanoseconds / 1000))
        json.member("worst_batched_us", Int(statistics.worstBatched.nanoseconds / 1000))
        json.member("worst_lateness_us", Int(statistics.worstLateness.nanoseconds / 1000))
        json.member("problem", statistics.problem)
        write(statistics.queue == nil ? statistics.backlogAge : nil, "backlog_ms", to: &json)
        json.name("queue")
        if let queue = statistics.queue {
            json.object { json in
                json.member("depth", queue.depth)
                json.member("in_flight", queue.inFlight)
                json.member("deferred", queue.deferred)
                write(queue.oldestAge, "oldest_ms", to: &json)
            }
        } else {
            json.null()
        }
        json.name("seconds")
        json.array(statistics.seconds.filter { $0.second >= second }) { json, second in
            json.object { json in
                json.member("second", Int(second.second))
                json.member("plays", second.plays)
                json.member("immediate_calls", second.calls.immediate)
                json.member("mixed_calls", second.calls.mixed)
                json.member("batched_calls", second.calls.batched)
                json.member("immediate_videos", second.calls.immediateVideos)
                json.member("batched_videos", second.calls.batchedVideos)
            }
        }
    }
}
