import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The counts of a store` {
    private let folder: TemporaryFolder
    private let store: String

    private struct Counts: Decodable {
        struct Video: Decodable {
            var video_id: String
            var play_count: Int
        }
        var total_videos: Int
        var total_plays: Int
        var videos: [Video]
    }

    /// Makes a store with 3,000 plays of 100 videos.
    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("counts.sqlite")
        let demo = try BuiltProcess([
            "demo", "--tcp-address=127.0.0.1:0", "--plays=3000", "--store=\(store)",
        ])
        #expect(demo.status() == 0)
    }

    private func counts(_ words: String...) throws -> BuiltProcess {
        try BuiltProcess(["counts", "--store=\(store)"] + words)
    }

    private func json(_ words: String...) throws -> Counts {
        let process = try BuiltProcess(["counts", "--store=\(store)", "--json"] + words)
        #expect(process.status() == 0)
        let lines = process.lines(of: .standardOutput)
        #expect(lines.count == 1)
        return try Counts(json: lines.joined().utf8)
    }

    @Test func `prints the totals of the whole store as text and as JSON`() throws {
        let text = try counts("--top=3").lines(of: .standardOutput)
        #expect(text.last == "100 videos, 3000 plays")
        for counts in [try json(), try json("--top=3")] {
            #expect(counts.total_videos == 100 && counts.total_plays == 3_000)
        }
        #expect(try json("--top=3").videos.count == 3)
    }

    @Test func `prints one video, whose GUID may be in upper case`() throws {
        let video = try json("--top=5").videos[4]
        let found = try json("--video=\(video.video_id.uppercased())")
        #expect(found.videos.map(\.video_id) == [video.video_id])
        #expect(found.videos.map(\.play_count) == [video.play_count])
        let text = try counts("--video=\(video.video_id)").lines(of: .standardOutput)
        #expect(text.count == 4 && text[1].hasPrefix(video.video_id))
    }

    @Test(arguments: [
        ("--video=1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70", 1, "has no plays in '"),
        ("--video=nonsense", 64, "use a GUID such as "), ("--top=0", 64, "--top must be"),
    ])
    func `names a video that it does not have`(word: String, status: Int32, text: String) throws {
        let process = try counts(word)
        #expect(process.status() == status)
        #expect(process.lines(of: .standardError).joined().contains(text))
        #expect(process.lines(of: .standardOutput).isEmpty)
    }
}

@Suite(.blocking) struct `The outcome of tally produce` {
    @Test func `prints one JSON object`() throws {
        struct Outcome: Decodable {
            var published: Int
            var topic: String
            var seconds: Double
            var run_id: UInt64?
        }
        let (broker, address) = try BuiltProcess.broker()
        let folder = try TemporaryFolder()
        try Data("{}\n{}\n".utf8).write(to: folder.url.appending(component: "plays"))
        for (words, published, runID) in [
            (["--plays=200", "--run-id=7"], 200, UInt64(7)),
            (["--file=\(folder.path("plays"))"], 2, nil),
        ] {
            let process = try BuiltProcess(
                ["produce", "--nsqd-tcp-address=\(address)", "--json", "--topic=likes"] + words)
            #expect(process.status() == 0)
            let lines = process.lines(of: .standardOutput)
            #expect(lines.count == 1)
            let outcome = try Outcome(json: lines.joined().utf8)
            #expect(outcome.published == published && outcome.run_id == runID)
            #expect(outcome.topic == "likes" && outcome.seconds >= 0)
        }
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

/// Output to a device that is always full, and to no device.
@Suite(.blocking) struct `Output that cannot be written` {
    @Test(arguments: [
        "tally --help", "tally --version", "tally help demo", "tally serve --help",
        "tally --generate-completion-script bash", "tally --experimental-dump-help",
        "tally nsqd --version", "tally counts --store=STORE", "tally counts --store=STORE --json",
        "tally demo --tcp-address=127.0.0.1:0 --plays=300 --json",
        "tally demo --tcp-address=127.0.0.1:0 --plays=300",
        "tally bench --seconds=0.02 --max-messages=100 --rounds=1",
    ])
    func `makes the command fail with the reason`(command: String) throws {
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/stores/2-counted-plays.sqlite").standardized
        let words = command.replacing("tally", with: "\"$0\"")
            .replacing("STORE", with: "'\(fixture.path)'")
        for (redirection, reason) in [
            (">/dev/full", "No space left on device"), (">&-", "Bad file descriptor"),
        ] {
            let process = try BuiltProcess(
                ["-c", "\(words) \(redirection)", BuiltProcess.tally.path],
                executable: URL(filePath: "/bin/sh"))
            #expect(process.status() == 1, "\(redirection)")
            let last = process.lines(of: .standardError).last
            #expect(last == "Error: cannot write to standard output: \(reason)", "\(redirection)")
        }
    }
}
