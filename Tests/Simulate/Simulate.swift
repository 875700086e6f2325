import BrokerSimulation
import Foundation
import TestKit

/// Runs the simulations of many seeds on all processors (`simulate 1-10000`), or prints all events of
/// one (`simulate 7`).
///
/// The simulations run in child processes, so that a crash of one is reported with its seed.
@main enum Simulate {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let seeds = arguments.last.flatMap({ Simulation.seeds(parsing: $0) }) else {
            FileHandle.standardError.write(Data("usage: simulate SEED | FIRST-LAST\n".utf8))
            exit(2)
        }
        if arguments.first == "--here" { exit(runInThisProcess(seeds) ? 0 : 1) }
        if seeds.count == 1 { exit(runTraced(seeds.lowerBound) ? 0 : 1) }
        exit(ParallelRuns(seeds).run() ? 0 : 1)
    }

    private static func runTraced(_ seed: UInt64) -> Bool {
        let failure = Simulation.run(seed, isTraced: true)
        print("seed \(seed): \(failure ?? "no violation")")
        return failure == nil
    }

    private static func runInThisProcess(_ seeds: ClosedRange<UInt64>) -> Bool {
        var isSound = true
        for seed in seeds {
            guard let failure = Simulation.run(seed) else { continue }
            print("seed \(seed): \(failure)")
            isSound = false
        }
        return isSound
    }
}

/// Runs a range of seeds in one process per processor, a few hundred seeds in each.
private final class ParallelRuns {
    private let seeds: ClosedRange<UInt64>
    private var next: UInt64
    private var failures = 0

    private static let seedsPerProcess: UInt64 = 250
    private static let secondsPerProcess = 600.0

    init(_ seeds: ClosedRange<UInt64>) {
        self.seeds = seeds
        next = seeds.lowerBound
    }

    func run() -> Bool {
        let start = Date()
        var running: [(seeds: ClosedRange<UInt64>, process: BuiltProcess)] = []
        for _ in 0..<ProcessInfo.processInfo.activeProcessorCount { startNext(&running) }
        while !running.isEmpty {
            let (part, process) = running.removeFirst()
            collect(part, process)
            startNext(&running)
        }
        let seconds = String(format: "%.0f", Date().timeIntervalSince(start))
        print("\(seeds.count) simulations in \(seconds) s: \(failures) failed")
        return failures == 0
    }

    private func startNext(_ running: inout [(seeds: ClosedRange<UInt64>, process: BuiltProcess)]) {
        guard next <= seeds.upperBound else { return }
        let part = next...min(next + Self.seedsPerProcess - 1, seeds.upperBound)
        next = part.upperBound + 1
        running.append((part, start(part)))
    }

    private func start(_ part: ClosedRange<UInt64>) -> BuiltProcess {
        do {
            return try BuiltProcess(
                ["--here", "\(part.lowerBound)-\(part.upperBound)"],
                executable: URL(filePath: "/proc/self/exe"),
                environment: ["SWIFT_DETERMINISTIC_HASHING": "1", "SWIFT_BACKTRACE": "enable=no"])
        } catch {
            fatalError("cannot start a process: \(error)")
        }
    }

    private func collect(_ part: ClosedRange<UInt64>, _ process: BuiltProcess) {
        switch process.status(timeout: Self.secondsPerProcess) {
        case 0: return
        case 1:
            for line in process.lines(of: .standardOutput) { report(line) }
        case let status:
            guard part.count > 1 else {
                let what =
                    status.map { "the process ended with status \($0)" }
                    ?? "the process did not end"
                return report("seed \(part.lowerBound): \(what)")
            }
            // Running each seed alone finds the one that ended the process.
            for seed in part { collect(seed...seed, start(seed...seed)) }
        }
    }

    private func report(_ line: String) {
        failures += 1
        let seed = line.dropFirst("seed ".count).prefix { $0.isNumber }
        print("\(line); make simulate SEEDS=\(seed) prints all events")
    }
}
