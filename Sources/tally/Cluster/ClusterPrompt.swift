import Foundation
import UVLoop

/// Executes the commands that a user types on standard input while a local cluster runs.
struct ClusterPrompt {
    private let cluster: LocalCluster

    init(_ cluster: LocalCluster) { self.cluster = cluster }

    /// Executes lines until a signal or the line `quit`. At the end of standard input, it only
    /// waits for a signal.
    func run(until signals: StopSignals) async {
        let lines = AsyncStream(String.self, bufferingPolicy: .bufferingOldest(1_000)) { lines in
            Self.readStandardInput(into: lines)
        }
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                _ = await signals.next()
                return true
            }
            group.addTask { await execute(lines) }
            while let isOver = await group.next(), !isOver {}
            group.cancelAll()
        }
    }

    /// - Returns: `true` after `quit`; `false` at the end of standard input.
    private func execute(_ lines: AsyncStream<String>) async -> Bool {
        for await line in lines {
            switch ClusterLine(line) {
            case .empty: break
            case .quit: return true
            case .help: print(ClusterLine.helpText)
            case .unknown(let line): StandardError.print("unknown command '\(line)': type help")
            case .request(let request): await execute(request)
            }
        }
        return false
    }

    private func execute(_ request: ClusterRequest) async {
        do {
            let nodes =
                switch request {
                case .list: await cluster.descriptions
                case .change(let action, let name): [try await cluster.perform(action, on: name)]
                }
            print(ClusterText.table(nodes))
        } catch {
            StandardError.print("\(error)")
        }
    }

    /// Reads lines on a separate thread, because reading blocks. The thread ends with the process
    /// or at the end of the input.
    private static func readStandardInput(into lines: AsyncStream<String>.Continuation) {
        let reader = Thread {
            while let line = readLine() { lines.yield(line) }
            lines.finish()
        }
        reader.start()
    }
}
