import ArgumentParser
import Foundation
import NSQBroker
import UVLoop

extension DemoCommand {
    /// Runs the demo of background jobs, and prints its verdict.
    ///
    /// - Throws: `ExitCode` if a rule is broken or a signal arrives.
    func runJobs() async throws {
        let signals = try await StopSignals.watch()
        let broker = try await startBroker()
        let folder = TemporaryStoreFolder.url.appending(component: "tally-jobs-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let nsqd = try SocketAddress(parsing: broker.tcpAddress).reachable
        let (progress, standstill) = (Progress(), maxStandstill.duration)
        progress.begin([
            .init("stored", of: DemoJobPlan.total), .init("ended", of: DemoJobPlan.total),
        ])
        let run = Task {
            try await DemoJobsRun(
                nsqd: nsqd, folder: folder, maxStandstill: standstill, progress: progress
            ).run()
        }
        let interruption = Task {
            let name = await signals.next()
            if name != nil { run.cancel() }
            return name
        }
        let result = await run.result
        progress.end()
        interruption.cancel()
        await broker.stop()
        await signals.stop()
        if let name = await interruption.value {
            StandardError.print("tally: \(name): interrupted, no verdict")
            throw ExitCode(130)
        }
        let verdict = try result.get()
        print(json ? String(decoding: verdict.json, as: UTF8.self) : verdict.text)
        if !verdict.passes { throw ExitCode(1) }
    }
}
