import Foundation
import HTTP
import PlayCounts
import TallyBasics
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

    func send(_ text: String) throws -> Response {
        let socket = try BlockingSocket(to: page.address)
        socket.send(text)
        return Response(socket.readAll())
    }

    func get(_ target: String) throws -> Response {
        try send("GET \(target) HTTP/1.0\r\nHost: localhost\r\n\r\n")
    }
}

/// A complete HTTP response.
struct Response {
    let status: Int
    let headers: [String: String]
    let body: String

    init(_ text: String) {
        let parts = text.split(separator: "\r\n\r\n", maxSplits: 1)
        let lines = parts[0].split(separator: "\r\n")
        status = Int(lines[0].split(separator: " ")[1])!
        headers = Dictionary(
            lines.dropFirst().map { line in
                let sides = line.split(separator: ": ", maxSplits: 1)
                return (sides[0].lowercased(), String(sides.last!))
            }
        ) { $1 }
        body = parts.count > 1 ? String(parts[1]) : ""
    }

    func json<Value: Decodable>(as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data(body.utf8))
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
    var number: Int
    var videos: [VideoJSON]
}

struct StatisticsJSON: Decodable {
    struct Calls: Decodable {
        var made: Int
        var least: Int?
    }
    struct Queue: Decodable, Equatable {
        var depth: Int
        var in_flight: Int
        var deferred: Int
    }
    var videos: Int
    var plays: Int
    var counted: Int
    var calls: Calls
    var queue: Queue?
}

struct StateJSON: Decodable {
    var statistics: StatisticsJSON
    var videos: [VideoJSON]
}
