import ArgumentParser
import Foundation
import NSQBroker
import NSQJobs
import NSQJobsEmbedded
import TallyBasics
import UVLoop

/// `tally jobs bench`: measures how fast background jobs are stored and performed.
struct JobsBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures how fast jobs are stored and performed on this machine.",
        discussion: """
            The store, the relay and a worker run in this process, on a new SQLite file that is \
            deleted at the end. Each commit is synced, as in tally jobs serve. The jobs do nothing.

            The workloads: store the jobs with many per call, perform all of them, the same with \
            fleeting jobs, and the time from storing a single job until its start, while no other \
            job waits. Each round has an empty store, and the medians of the rounds are reported.

            The exit status is 0 after a complete measurement, 1 if it failed, 130 after Ctrl-C, and 64 for an \
            invalid command line.
            """
                + HelpText.examples(
                    #"""
                    tally jobs bench
                    tally jobs bench --jobs=20000 --rounds=1 --folder=. --json
                    """#))

    @Option(help: "The number of jobs of each workload.")
    var jobs = 100_000

    @Option(help: "The number of single jobs whose start is measured.")
    var singleJobs = 500

    @Option(help: "The maximum number of jobs that run at the same time.")
    var concurrency = 512

    @Option(help: "The number of rounds; medians are reported.")
    var rounds = 3

    @Option(help: "The folder for the store; by default the one for temporary files.")
    var folder: String?

    @Option(help: "The address of an nsqd, as HOST:PORT; by default an embedded broker.")
    var nsqdTcpAddress: SocketAddress?

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        try require("--jobs", jobs, in: 1...10_000_000)
        try require("--single-jobs", singleJobs, in: 1...100_000)
        try require("--concurrency", concurrency, in: 1...10_000)
        try require("--rounds", rounds, in: 1...99)
    }

    func run() async throws {
        let results: JobsBenchResults
        do {
            results = try await StopSignals.run { try await measure() }
        } catch let interruption as StopSignals.Interruption {
            StandardError.print("tally: \(interruption.signal): interrupted, no results")
            throw ExitCode(130)
        }
        StandardOutput.print(json ? try results.json : results.table)
    }

    private func measure() async throws -> JobsBenchResults {
        var results = JobsBenchResults()
        for round in 1...rounds {
            StandardError.print("round \(round) of \(rounds)")
            try await measure(&results)
        }
        return results
    }

    /// Measures one round with a store of its own.
    private func measure(_ results: inout JobsBenchResults) async throws {
        let parent =
            folder.map { URL(filePath: $0, directoryHint: .isDirectory) }
            ?? FileManager.default.temporaryDirectory
        let folder = parent.appending(component: "tally-jobs-bench-\(UUID().uuidString)")
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        } catch {
            throw UsageError("cannot create a folder for the store in '\(parent.path)'")
        }
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = Jobs.Store.sqlite(folder.appending(component: "jobs.sqlite").path)
        let jobs = try await open(store)
        do {
            try await workloads(jobs).runAll(&results)
            await jobs.stop()
        } catch {
            await jobs.stop()
            throw error
        }
    }

    private func open(_ store: Jobs.Store) async throws -> Jobs {
        var configuration = Jobs.Configuration()
        configuration.logger = LineLog.logger("tally", .error)
        if let nsqdTcpAddress {
            return try await Jobs(
                store: store, nsqd: nsqdTcpAddress.description, configuration: configuration)
        }
        var broker = EmbeddedBroker.Configuration()
        broker.logger = configuration.logger
        return try await Jobs(store: store, nsqd: .embedded(broker), configuration: configuration)
    }

    private func workloads(_ jobs: Jobs) -> JobsBenchWorkloads {
        JobsBenchWorkloads(
            jobs: jobs, count: self.jobs, singleCount: singleJobs, concurrency: concurrency)
    }
}
