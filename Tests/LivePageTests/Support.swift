import Foundation
import HTTP
import PlayCounts
import Testing
import UVLoop

@testable import LivePage

/// A GUID for a number.
func video(_ number: Int) -> VideoID { VideoID(high: 7, low: UInt64(number)) }

func total(_ number: Int, _ count: Int) -> PlayCount { PlayCount(of: video(number), count) }

/// Calls as a publisher makes them.
struct Calls {
    private var publisher: CountPublisher
    private var counts: [Int: Int] = [:]

    init(videosPerCall: Int = 20) {
        var settings = CountPublisher.Settings()
        settings.videosPerCall = videosPerCall
        publisher = CountPublisher(settings)
    }

    /// One play of each of these videos, all of them immediate.
    mutating func play(_ videos: some Sequence<Int>, at instant: Instant) -> [Call] {
        publisher.receive(
            videos.map { number in
                counts[number, default: 0] += 1
                return CountChange(
                    videoID: video(number), count: counts[number]!, arrival: instant,
                    isImmediate: true)
            })
        let calls = publisher.calls(at: instant)
        for call in calls { publisher.accepted(call) }
        return calls
    }
}

/// A page with a publisher in front of it, on this test's behalf.
final class PageStage {
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
    ) async throws -> PageStage {
        var settings = PageSettings()
        settings.source = "a test"
        change(&settings)
        let address = SocketAddress(host: "127.0.0.1", port: 0)
        return try PageStage(
            await LivePage.start(at: address, totals: totals, settings: settings))
    }

    /// One play of each.
    func play(_ videos: some Sequence<Int>) {
        for call in calls.play(videos, at: loop.instant) {
            sink.send(call) { answer in
                #expect((try? answer.get()) != nil, "the page takes all")
            }
        }
    }

    func ask(_ text: String) throws -> Answer {
        let socket = try BlockingSocket(to: page.address)
        socket.send(text)
        return Answer(socket.rest())
    }

    func get(_ target: String) throws -> Answer {
        try ask("GET \(target) HTTP/1.0\r\nHost: localhost\r\n\r\n")
    }
}

/// A whole answer.
struct Answer {
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
