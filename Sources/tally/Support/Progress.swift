import Foundation
import UVLoop

/// Shows on standard error how far a long piece of work is: bars on a terminal, a plain line now
/// and then elsewhere.
///
/// Whoever does the work only sets numbers; a task of its own draws.
final class Progress: Sendable {
    struct Row: Sendable {
        let name: String
        let total: Int?
        var value = 0

        init(_ name: String, of total: Int?) {
            self.name = name
            self.total = total
        }
    }

    private struct State {
        var rows: [Row] = []
        var linesDrawn = 0
        var task: Task<Void, Never>?
    }

    private let state = Guarded(State())
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let isColored =
        isatty(STDERR_FILENO) == 1
        && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    private static let barWidth = 32

    /// Begins to draw.
    func begin(_ rows: [Row]) {
        let interval = Duration.milliseconds(isTerminal ? 100 : 2_000)
        state.withLock { state in
            state.rows = rows
            state.task = Task { [weak self] in
                while (try? await Task.sleep(for: interval)) != nil { self?.draw() }
            }
        }
    }

    func set(_ name: String, _ value: Int) {
        state.withLock { state in
            for index in state.rows.indices where state.rows[index].name == name {
                state.rows[index].value = value
            }
        }
    }

    /// Draws once more, and no more after that.
    func end() {
        state.withLock { $0.task?.cancel() }
        draw()
    }

    private func draw() {
        state.withLock { state in
            let rows = state.rows
            if isTerminal {
                let up = state.linesDrawn > 0 ? "\u{1b}[\(state.linesDrawn)A" : ""
                let lines = rows.map { "\u{1b}[2K" + bar($0) }.joined(separator: "\n")
                StandardError.print(up + lines)
                state.linesDrawn = rows.count
            } else {
                StandardError.print(rows.map(plain).joined(separator: ", "))
            }
        }
    }

    private func bar(_ row: Row) -> String {
        let name = row.name.padding(toLength: 12, withPad: " ", startingAt: 0)
        guard let total = row.total, total > 0 else { return "  \(name)\(row.value)" }
        let filled = min(Self.barWidth, row.value * Self.barWidth / total)
        let full = String(repeating: "█", count: filled)
        let rest = String(repeating: "░", count: Self.barWidth - filled)
        let painted = isColored ? "\u{1b}[36m\(full)\u{1b}[2m\(rest)\u{1b}[0m" : full + rest
        return "  \(name)\(painted) \(row.value) of \(total)"
    }

    private func plain(_ row: Row) -> String {
        "\(row.name) \(row.value)" + (row.total.map { " of \($0)" } ?? "")
    }
}

extension Double {
    func rounded(to digits: Int) -> Double {
        let factor = (0..<digits).reduce(1.0) { factor, _ in factor * 10 }
        return (self * factor).rounded() / factor
    }
}
