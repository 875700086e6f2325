import ArgumentParser
import Foundation
import NSQBroker
import UVLoop

extension DemoCommand {
    /// Runs the demo of background jobs, and prints its verdict.
    ///
    /// - Throws: `ExitCode` if a rule is broken or a signal arrives.
    func runJobs() async throws {
        do {
            let verdict = try await StopSignals.run { try await verdictOnJobs() }
            print(json ? String(decoding: verdict.json, as: UTF8.self) : verdict.text)
            if !verdict.passes { throw ExitCode(1) }
        } catch let interruption as StopSignals.Interruption {
            StandardError.print("tally: \(interruption.signal): interrupted, no verdict")
            throw ExitCode(130)
        }
    }

    private func verdictOnJobs() async throws -> JobsVerdict {
        let broker = try await startBroker()
        let folder = TemporaryStoreFolder.url.appending(component: "tally-jobs-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let nsqd = try SocketAddress(parsing: broker.tcpAddress).reachable
        let progress = Progress()
        progress.begin([
            .init("stored", of: DemoJobPlan.total), .init("ended", of: DemoJobPlan.total),
        ])
        let run = DemoJobsRun(
            nsqd: nsqd, folder: folder, maxStandstill: maxStandstill.duration, progress: progress)
        do {
            let verdict = try await run.run()
            progress.end()
            await broker.stop()
            return verdict
        } catch {
            progress.end()
            await broker.stop()
            throw error
        }
    }
}
