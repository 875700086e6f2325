import HTTP
import PlayCounts
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage

@Suite(.blocking) struct `The page server` {
    @Test(arguments: [
        ("/videos", "text/html; charset=utf-8"), ("/videos.css", "text/css; charset=utf-8"),
        ("/videos.js", "text/javascript; charset=utf-8"), ("/videos.svg", "image/svg+xml"),
        ("/logic.js", "text/javascript; charset=utf-8"),
        ("/model.js", "text/javascript; charset=utf-8"),
        ("/charts.js", "text/javascript; charset=utf-8"),
        ("/table.js", "text/javascript; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/api/videos", "application/json"),
    ])
    func `serves all files from the binary with a strict content security policy`(
        path: String, type: String
    ) async throws {
        let test = try await TestPage.start()
        let response = try test.get(path)
        #expect(response.status == 200)
        #expect(response.headers["content-type"] == type)
        #expect(response.headers["x-content-type-options"] == "nosniff")
        let policy = try #require(response.headers["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'"))
        #expect(!policy.contains("unsafe"))
        // The page has no external resources, inline scripts or inline styles, because its content
        // security policy forbids them.
        for text in ["https://", "<style", "style=", "<script>", "onclick", "innerHTML"] {
            #expect(path == "/api/videos" || !response.body.contains(text), "\(text)")
        }
        await test.page.stop()
    }

    @Test func `redirects the root to the page and answers 404 for unknown paths`() async throws {
        let test = try await TestPage.start()
        let root = try test.get("/")
        #expect(root.status == 307)
        #expect(root.headers["location"] == "/videos")
        #expect(try test.get("/video").status == 404)
        await test.page.stop()
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    func `refuses all methods but GET and HEAD with 405`(method: String) async throws {
        let test = try await TestPage.start()
        for path in ["/videos", "/api/videos", "/events"] {
            let response = try test.send(
                "\(method) \(path) HTTP/1.0\r\nHost: localhost\r\n\r\n")
            #expect(response.status == 405)
            #expect(response.headers["allow"] == "GET, HEAD")
        }
        await test.page.stop()
    }

    @Test(arguments: [
        ("localhost:4180", 200), ("LOCALHOST", 200), ("127.0.0.1:1", 200), ("[::1]:4180", 200),
        ("evil.example", 421), ("evil.example:4180", 421), ("127.0.0.1.evil.example", 421),
        ("[::2]", 421), ("", 421),
    ])
    func `refuses requests whose Host is not this machine`(
        host: String, status: Int
    ) async throws {
        let test = try await TestPage.start()
        for path in ["/videos", "/api/videos"] {
            let response = try test.send("GET \(path) HTTP/1.0\r\nHost: \(host)\r\n\r\n")
            #expect(response.status == status)
        }
        await test.page.stop()
    }

    @Test func `fails to start on an address that another page uses`() async throws {
        let test = try await TestPage.start()
        await #expect(throws: UVError.self) {
            _ = try await LivePage.start(at: test.page.address, totals: [])
        }
        await test.page.stop()
    }
}

@Suite(.blocking) struct `The videos API` {
    @Test func `returns the requested number of videos, most played first`() async throws {
        let test = try await TestPage.start((1...150).map { total($0, $0) })
        let some = try test.get("/api/videos").json(as: VideosJSON.self)
        #expect(some.total == 150)
        #expect(some.matching == 150)
        #expect(some.videos.map(\.play_count) == (51...150).reversed())
        let few = try test.get("/api/videos?top=2&sort=plays&order=ascending")
            .json(as: VideosJSON.self)
        #expect(few.videos.map(\.play_count) == [1, 2])
        let found = try test.get("/api/videos?search=\(video(17).text.uppercased())")
            .json(as: VideosJSON.self)
        #expect(found.videos.map(\.play_count) == [17])
        #expect(found.matching == 1)
        await test.page.stop()
    }

    @Test(arguments: [
        ("plays", [3, 2, 1]), ("recent", [1, 2, 3]), ("video", [1, 2, 3]),
        ("video&order=descending", [3, 2, 1]),
    ])
    func `returns videos by ID in ascending order, and otherwise the greatest first`(
        sort: String, expected: [Int]
    ) async throws {
        let test = try await TestPage.start((1...3).map { total($0, $0) })
        let found = try test.get("/api/videos?sort=\(sort)").json(as: VideosJSON.self)
        #expect(found.videos.map(\.play_count) == expected)
        await test.page.stop()
    }

    @Test(arguments: ["top=0", "top=1001", "top=x", "sort=size", "order=up", "search=%zz", "a;b"])
    func `answers 400 with the error for an invalid query`(query: String) async throws {
        let test = try await TestPage.start()
        let response = try test.get("/api/videos?\(query)")
        #expect(response.status == 400)
        #expect(response.body.hasPrefix("{\"error\":"))
        await test.page.stop()
    }

    @Test func `returns one video by its GUID`() async throws {
        let test = try await TestPage.start([total(1, 41)])
        let events = try EventReader(test.page)
        _ = try events.next("state")
        test.play([2])
        _ = try events.next("call")
        let old = try test.get("/api/videos/\(video(1))").json(as: VideoJSON.self)
        #expect(old == VideoJSON(video_id: video(1).text, play_count: 41, immediate: false))
        let new = try test.get("/api/videos/\(video(2))").json(as: VideoJSON.self)
        #expect(new == VideoJSON(video_id: video(2).text, play_count: 1, immediate: true))
        #expect(try test.get("/api/videos/\(video(3))").status == 404)
        #expect(try test.get("/api/videos/nonsense").status == 400)
        await test.page.stop()
    }

    @Test func `searches 100,000 videos and sends a browser only the most played`() async throws {
        let test = try await TestPage.start((1...100_000).map { total($0, $0) })
        let state = try EventReader(test.page).next("state").json(as: StateJSON.self)
        #expect(state.videos.count == PageSettings().videosInState)
        #expect(state.videos.first?.play_count == 100_000)
        #expect(state.statistics.videos == 100_000)
        let found = try test.get("/api/videos?search=0007&top=1000").json(as: VideosJSON.self)
        #expect(found.total == 100_000)
        #expect(found.matching == found.videos.count || found.videos.count == 1000)
        await test.page.stop()
    }
}
