import Foundation
import HTTP
import PlayCounts
import TallyBasics
import TestKit
import Testing
import UVLoop

@testable import LivePage

/// The ID of a test video.
func video(_ number: Int) -> VideoID { VideoID(high: 7, low: UInt64(number)) }

func total(_ number: Int, _ count: Int) -> PlayCount { PlayCount(of: video(number), count) }

/// Produces calls as the scheduler does for immediate plays.
struct Calls {
    private var publisher: CallScheduler
    private var counts: [Int: Int] = [:]

    init(videosPerCall: Int = 20) {
        var settings = CallScheduler.Settings()
        settings.videosPerCall = videosPerCall
        publisher = CallScheduler(settings)
    }

    /// Adds one immediate play of each video and returns the calls.
    mutating func play(_ videos: some Sequence<Int>, at instant: MonotonicInstant) -> [Call] {
        publisher.enqueue(
            videos.map { number in
                counts[number, default: 0] += 1
                return CountChange(
                    videoID: video(number), count: counts[number]!, arrival: instant,
                    isImmediate: true)
            })
        let calls = publisher.startDueCalls(at: instant)
        for call in calls { publisher.callAccepted(call) }
        return calls
    }
}

/// A running page and a source of calls for it.
final class TestPage {
    let page: LivePage
    private let loop: Loop
    private let sink: any Sink
    private var calls = Calls()

    private init(_ page: LivePage) throws {
        self.page = page
        loop = try Loop()
        sink = page.sink(on: loop)
    }

    static func start(
        _ totals: [PlayCount] = [], _ change: (inout PageSettings) -> Void = { _ in }
    ) async throws -> TestPage {
        var settings = PageSettings()
        settings.source = "a test"
        change(&settings)
        let address = SocketAddress(host: "127.0.0.1", port: 0)
        return try TestPage(
            await LivePage.start(at: address, totals: totals, settings: settings))
    }

    /// Adds one play of each video and sends the calls to the page.
    func play(_ videos: some Sequence<Int>) {
        for call in calls.play(videos, at: loop.instant) {
            sink.send(call) { answer in
                #expect((try? answer.get()) != nil, "the page accepts every call")
            }
        }
    }

    func send(_ text: String) throws -> ReceivedResponse {
        let socket = try BlockingSocket(to: page.address)
        socket.send(text)
        return ReceivedResponse(parsing: socket.receiveAll())
    }

    func get(_ target: String) throws -> ReceivedResponse {
        try ReceivedResponse(
            to: "GET", target, at: page.address, headers: "Host: localhost\r\n")
    }
}

struct VideoJSON: Decodable, Equatable {
    var video_id: String
    var play_count: Int
    var immediate: Bool
}

struct VideosJSON: Decodable {
    var total: Int
    var matching: Int
    var videos: [VideoJSON]
}

struct CallJSON: Decodable {
    var time: Int
    var number: Int
    var videos: [VideoJSON]
}

struct StatisticsJSON: Decodable {
    struct Calls: Decodable, Equatable {
        var made: Int
        var immediate: Int
        var mixed: Int
        var batched: Int
        var videos: Int
        var least: Int?
    }
    struct Second: Decodable {
        var immediate_calls: Int
        var mixed_calls: Int
        var batched_calls: Int
        var immediate_videos: Int
        var batched_videos: Int
    }
    struct Queue: Decodable, Equatable {
        var depth: Int
        var in_flight: Int
        var deferred: Int
        var oldest_ms: Int?
    }
    var time: Int
    var videos: Int
    var plays: Int
    var counted: Int
    var calls: Calls
    var worst_batched_us: Int
    var worst_lateness_us: Int
    var problem: String?
    var backlog_ms: Int?
    var queue: Queue?
    var seconds: [Second]
}

struct VerdictJSON: Decodable {
    struct Rule: Decodable {
        var rule: String
        var holds: Bool
        var detail: String
    }
    var verdict: String
    var time: Int
    var rules: [Rule]
}

struct StateJSON: Decodable {
    struct Run: Decodable, Equatable {
        var id: String
        var started: Int
    }
    struct Settings: Decodable {
        var source: String
        var freshness_ms: Int
        var produce_command: String?
    }
    struct LatestCall: Decodable, Equatable {
        var number: Int
        var time: Int
        var immediate: Int
        var batched: Int
    }
    var run: Run
    var settings: Settings
    var statistics: StatisticsJSON
    var verdict: VerdictJSON?
    var latest_calls: [LatestCall]
    var videos: [VideoJSON]
}
