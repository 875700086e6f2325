import HTTP
import PlayCounts

/// What the page and its API say, as JSON. The README lists the names.
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
        _ figures: Figures, _ table: VideoTable, atMilliseconds time: Int64, since second: Int64
    ) -> [UInt8] {
        JSONWriter.object { write(figures, table, time, since: second, to: &$0) }
    }

    static func state(
        _ figures: Figures, _ table: VideoTable, _ settings: PageSettings,
        atMilliseconds time: Int64
    ) -> [UInt8] {
        JSONWriter.object { json in
            json.name("settings")
            json.object { json in
                json.member("source", settings.source)
                json.member("realtime_below", settings.realtimeBelow)
                json.member("videos_per_call", settings.videosPerCall)
                json.member("freshness_ms", Int(settings.freshness.nanoseconds / 1_000_000))
            }
            json.name("statistics")
            json.object { write(figures, table, time, since: 0, to: &$0) }
            let view = VideoTable.View(limit: settings.videosInState)
            json.name("videos")
            json.array(table.look(view).rows) { json, row in json.object { write(row, to: &$0) } }
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
        _ figures: Figures, _ table: VideoTable, _ time: Int64, since second: Int64,
        to json: inout JSONWriter
    ) {
        json.member("time", Int(time))
        json.member("videos", table.videos)
        json.member("plays", table.plays)
        json.member("counted", figures.counted)
        json.member("waiting_videos", figures.waitingVideos)
        json.name("calls")
        json.object { json in
            json.member("made", figures.calls)
            json.member("immediate", figures.immediateCalls)
            json.member("batched", figures.batchedCalls)
            json.member("empty_slots", figures.emptySlots)
            json.member("least", figures.leastCalls)
            json.member("ratio_thousandths", Int((figures.callsRatio * 1000).rounded()))
        }
        json.member("worst_immediate_us", Int(figures.worstImmediate.nanoseconds / 1000))
        json.member("worst_lateness_us", Int(figures.worstLateness.nanoseconds / 1000))
        json.name("queue")
        if let queue = figures.queue {
            json.object { json in
                json.member("depth", queue.depth)
                json.member("in_flight", queue.inFlight)
                json.member("deferred", queue.deferred)
            }
        } else {
            json.null()
        }
        json.name("seconds")
        json.array(figures.seconds.filter { $0.second >= second }) { json, second in
            json.object { json in
                json.member("second", Int(second.second))
                json.member("plays", second.plays)
                json.member("immediate_calls", second.immediateCalls)
                json.member("batched_calls", second.batchedCalls)
            }
        }
    }
}
