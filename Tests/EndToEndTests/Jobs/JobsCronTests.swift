import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The command tally jobs cron` {
    private let jobs: JobsFolder

    init() throws { jobs = try JobsFolder() }

    @Test func `stores, prints and removes schedules`() throws {
        let words = ["--time-zone=Europe/Berlin", "--queue=low", "--missed=skip"]
        let added = try jobs.start(["cron", "add", "nightly", "30 2 * * *", "report"] + words)
        #expect(added.status() == 0)
        let lines = try jobs.run("cron", "list")
        #expect(lines.count == 2)
        let fields = try #require(lines.last).split(separator: "  ").map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        #expect(fields[0...3] == ["nightly", "30 2 * * *", "Europe/Berlin", "skip"])
        #expect(fields[5...] == ["low", "report"])
        let json = try jobs.run("cron", "list", "--json")
        #expect(
            json.first?.contains(#""expression":"30 2 * * *","time_zone":"Europe/Berlin""#) == true)
        #expect(try jobs.run("cron", "remove", "nightly") == ["removed schedule 'nightly'"])
        #expect(try jobs.run("cron", "list") == ["no schedules"])
    }

    @Test(arguments: [
        (["add", "a", "* * *", "b"], 1, "cron"), (["add", "a", "@daily"], 64, "Missing expected"),
        (["add", "a", "@daily", "b", "--time-zone=Mars"], 1, "unknown time zone 'Mars'"),
        (["add", "a", "@daily", "b", "--args={"], 1, "are not JSON"),
        (["add", "a", "@daily", "b", "--missed=x"], 64, "'x' is invalid"),
        (["remove", "none"], 1, "unknown schedule 'none'"),
    ])
    func `explains an error`(words: [String], status: Int32, text: String) throws {
        try jobs.run("enqueue", "a")
        let failure = try jobs.failure(["cron"] + words)
        #expect(failure.status == status)
        #expect(failure.text.contains(text), "\(failure.text)")
    }
}

@Suite(.blocking) struct `The option --jobs of tally serve` {
    @Test func `publishes jobs and serves their API beside the counting of plays`() throws {
        let jobs = try JobsFolder()
        let (process, nsqd) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--page-address=127.0.0.1:0", "--store=\(jobs.folder.path("counts.sqlite"))",
            "--jobs=\(jobs.store)", "--api-address=127.0.0.1:0",
        ])
        #expect(process.line(containing: "the API of the jobs is at http://127.0.0.1:") != nil)
        #expect(process.line(containing: "counting plays") != nil)
        try jobs.run("enqueue", "a", "--args=[1]")
        let worker = try jobs.start([
            "work", "--nsqd-tcp-address=\(nsqd)", "--until-empty", "--", "cat",
        ])
        #expect(worker.status() == 0)
        #expect(worker.lines(of: .standardOutput) == ["[1]"])
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }
}
