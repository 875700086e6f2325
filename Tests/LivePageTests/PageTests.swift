import HTTP
import PlayCounts
import TestKit
import Testing
import UVLoop

@testable import LivePage

@Suite struct `The page's address` {
    @Test(arguments: [
        ("/videos", "text/html; charset=utf-8"), ("/videos.css", "text/css; charset=utf-8"),
        ("/videos.js", "text/javascript; charset=utf-8"), ("/videos.svg", "image/svg+xml"),
        ("/api/videos", "application/json"),
    ])
    func `shows everything from its own binary, and lets nothing else in`(
        path: String, type: String
    ) async throws {
        let stage = try await PageStage.start()
        let answer = try stage.get(path)
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == type)
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        let policy = try #require(answer.headers["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'"))
        #expect(!policy.contains("unsafe"))
        // Nothing from elsewhere, no script or style inside: it works offline, and by the policy.
        for text in ["https://", "<style", "style=", "<script>", "onclick"] {
            #expect(path == "/api/videos" || !answer.body.contains(text), "\(text)")
        }
        await stage.page.stop()
    }

    @Test func `leads from the root to the videos, and from nowhere to nothing`() async throws {
        let stage = try await PageStage.start()
        let root = try stage.get("/")
        #expect(root.status == 307)
        #expect(root.headers["location"] == "/videos")
        #expect(try stage.get("/video").status == 404)
        await stage.page.stop()
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    func `takes no request that could change anything`(method: String) async throws {
        let stage = try await PageStage.start()
        for path in ["/videos", "/api/videos", "/events"] {
            let answer = try stage.ask(
                "\(method) \(path) HTTP/1.0\r\nHost: localhost\r\n\r\n")
            #expect(answer.status == 405)
            #expect(answer.headers["allow"] == "GET, HEAD")
        }
        await stage.page.stop()
    }

    @Test(arguments: [
        ("localhost:4180", 200), ("LOCALHOST", 200), ("127.0.0.1:1", 200), ("[::1]:4180", 200),
        ("evil.example", 421), ("evil.example:4180", 421), ("127.0.0.1.evil.example", 421),
        ("[::2]", 421), ("", 421),
    ])
    func `answers only who asks for this machine by name`(
        host: String, status: Int
    ) async throws {
        let stage = try await PageStage.start()
        for path in ["/videos", "/api/videos"] {
            let answer = try stage.ask("GET \(path) HTTP/1.0\r\nHost: \(host)\r\n\r\n")
            #expect(answer.status == status)
        }
        await stage.page.stop()
    }

    @Test func `is free for one page at a time`() async throws {
        let stage = try await PageStage.start()
        await #expect(throws: UVError.self) {
            _ = try await LivePage.start(at: stage.page.address, totals: [])
        }
        await stage.page.stop()
    }
}

@Suite struct `The videos' API` {
    @Test func `gives the most played first, and as many as are asked for`() async throws {
        let stage = try await PageStage.start((1...150).map { total($0, $0) })
        let some = try stage.get("/api/videos").json(as: VideosJSON.self)
        #expect(some.total == 150)
        #expect(some.matching == 150)
        #expect(some.videos.map(\.play_count) == (51...150).reversed())
        let few = try stage.get("/api/videos?top=2&sort=plays&order=ascending")
            .json(as: VideosJSON.self)
        #expect(few.videos.map(\.play_count) == [1, 2])
        let found = try stage.get("/api/videos?search=\(video(17).text.uppercased())")
            .json(as: VideosJSON.self)
        #expect(found.videos.map(\.play_count) == [17])
        #expect(found.matching == 1)
        await stage.page.stop()
    }

    @Test(arguments: ["top=0", "top=1001", "top=x", "sort=size", "order=up", "search=%zz", "a;b"])
    func `says what is wrong with a question`(query: String) async throws {
        let stage = try await PageStage.start()
        let answer = try stage.get("/api/videos?\(query)")
        #expect(answer.status == 400)
        #expect(answer.body.hasPrefix("{\"error\":"))
        await stage.page.stop()
    }

    @Test func `gives one video by its GUID`() async throws {
        let stage = try await PageStage.start([total(1, 41)])
        let events = try EventReader(stage.page)
        _ = try events.next("state")
        stage.play([2])
        _ = try events.next("call")
        let old = try stage.get("/api/videos/\(video(1))").json(as: VideoJSON.self)
        #expect(old == VideoJSON(video_id: video(1).text, play_count: 41, immediate: false))
        let new = try stage.get("/api/videos/\(video(2))").json(as: VideoJSON.self)
        #expect(new == VideoJSON(video_id: video(2).text, play_count: 1, immediate: true))
        #expect(try stage.get("/api/videos/\(video(3))").status == 404)
        #expect(try stage.get("/api/videos/nonsense").status == 400)
        await stage.page.stop()
    }

    @Test func `is quick with 100,000 videos, and a browser is given a part`() async throws {
        let stage = try await PageStage.start((1...100_000).map { total($0, $0) })
        let state = try EventReader(stage.page).next("state").json(as: StateJSON.self)
        #expect(state.videos.count == PageSettings().videosInState)
        #expect(state.videos.first?.play_count == 100_000)
        #expect(state.statistics.videos == 100_000)
        let found = try stage.get("/api/videos?search=0007&top=1000").json(as: VideosJSON.self)
        #expect(found.total == 100_000)
        #expect(found.matching == found.videos.count || found.videos.count == 1000)
        await stage.page.stop()
    }
}
