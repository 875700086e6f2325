import Foundation
import GRDB
import NSQJobs
import Testing
import WordCounts

@Suite(.timeLimit(.minutes(5))) struct `The word counts of texts` {
    private func withApplication(_ body: (WordCounts) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            component: "word-counts-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let application = try await WordCounts(path: folder.appending(component: "app.sqlite").path)
        try await body(application)
        try await application.stop()
    }

    private func end(ofText id: Int64, in application: WordCounts) async throws
        -> WordCounts.Status
    {
        while true {
            let status = try await application.status(ofText: id)
            guard status == .inProgress else { return status }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func `are the results of jobs, found by the text`() async throws {
        try await withApplication { application in
            #expect(try await application.status(ofText: 1) == .unknown)
            let article = try await application.add(Text(.article, "one two  three\nfour"))
            let comment = try await application.add(Text(.comment, "five"))
            #expect(try await end(ofText: article, in: application) == .counted(words: 4))
            #expect(try await end(ofText: comment, in: application) == .counted(words: 1))
            let dashboard = try await Dashboard(of: application)
            #expect(dashboard.articles == 1 && dashboard.comments == 1 && dashboard.words == 5)
            #expect(dashboard.completed == 2 && dashboard.waiting == 0 && !dashboard.isAlert)
        }
    }

    @Test func `have no job after a transaction that is rolled back`() async throws {
        struct RollBack: Error {}
        try await withApplication { application in
            await #expect(throws: RollBack.self) {
                try await application.database.write { [jobs = application.jobs] database in
                    var text = Text(.article, "never stored")
                    try text.insert(database)
                    try jobs.enqueue(CountWords(text: text.id ?? 0), in: database)
                    throw RollBack()
                }
            }
            let counts = try await application.jobs.counts()
            #expect(counts.isEmpty)
        }
    }

    @Test func `raise an alert when several jobs of the queue fail`() async throws {
        try await withApplication { application in
            for number in 1...Dashboard.alertCount {
                let id = try await application.add(Text(.comment, " "))
                let status = try await end(ofText: id, in: application)
                #expect(status == .failed(reason: "the text has no words"))
                let dashboard = try await Dashboard(of: application)
                #expect(dashboard.recentFailures == number)
                #expect(dashboard.isAlert == (number == Dashboard.alertCount))
            }
            let text = try await Dashboard(of: application).description
            #expect(text.hasSuffix("ALERT: 3 jobs failed in 20 minutes: the text has no words"))
        }
    }
}
