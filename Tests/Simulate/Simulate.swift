import BrokerSimulation
import Foundation
import TestKit

/// Simulates many worlds on all processors, or tells all that happens in one:
/// `simulate 1-10000`, `simulate 7`.
///
/// The worlds live in processes of their own, so that one that ends its process is known as well.
@main enum Simulate {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let seeds = arguments.last.flatMap({ Simulation.seeds(parsing: $0) }) else {
            FileHandle.standardError.write(Data("usage: simulate SEED | FIRST-LAST\n".utf8))
            exit(2)
        }
        if arguments.first == "--here" { exit(simulateHere(seeds) ? 0 : 1) }
        if seeds.count == 1 { exit(tell(seeds.lowerBound) ? 0 : 1) }
        exit(Crowd(seeds).simulate() ? 0 : 1)
    }

    private static func tell(_ seed: UInt64) -> Bool {
        let failure = Simulation.run(seed, isTold: true)
        print("seed \(seed): \(failure ?? "all that was promised was kept")")
        return failure == nil
    }

    private static func simulateHere(_ seeds: ClosedRange<UInt64>) -> Bool {
        var isSound = true
        for seed in seeds {
            guard let failure = Simulation.run(seed) else { continue }
            print("seed \(seed): \(failure)")
            isSound = false
        }
        return isSound
    }
}

/// The worlds of many seeds, a few hundred in each of as many processes as there are processors.
private final class Crowd {
    private let seeds: ClosedRange<UInt64>
    private var next: UInt64
    private var failures = 0

    private static let seedsPerProcess: UInt64 = 250
    private static let secondsPerProcess = 600.0

    init(_ seeds: ClosedRange<UInt64>) {
        self.seeds = seeds
        next = seeds.lowerBound
    }

    func simulate() -> Bool {
        let start = Date()
        var running: [(seeds: ClosedRange<UInt64>, process: BuiltProcess)] = []
        for _ in 0..<ProcessInfo.processInfo.activeProcessorCount { startNext(&running) }
        while !running.isEmpty {
            let (part, process) = running.removeFirst()
            take(part, process)
            startNext(&running)
        }
        let seconds = String(format: "%.0f", Date().timeIntervalSince(start))
        print("\(seeds.count) worlds in \(seconds) s: \(failures) broke a promise")
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

    private func take(_ part: ClosedRange<UInt64>, _ process: BuiltProcess) {
        switch process.status(timeout: Self.secondsPerProcess) {
        case 0: return
        case 1:
            for line in process.lines(of: .standardOutput) { fail(line) }
        case let status:
            guard part.count > 1 else {
                let what = status.map { "ended its process: status \($0)" } ?? "never ended"
                return fail("seed \(part.lowerBound): \(what)")
            }
            // Which of them was it?
            for seed in part { take(seed...seed, start(seed...seed)) }
        }
    }

    private func fail(_ line: String) {
        failures += 1
        let seed = line.dropFirst("seed ".count).prefix { $0.isNumber }
        print("\(line); make simulate SEEDS=\(seed) tells all")
    }
}
