import Foundation
import UVLoop

/// Shows progress on standard error: as bars on a terminal, and otherwise as one line every two
/// seconds.
///
/// The threads that make progress only set values. A separate task draws them.
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

    private let state = LockedValue(State())

    /// Starts drawing.
    func begin(_ rows: [Row]) {
        let interval = Duration.milliseconds(Terminal.isAvailable ? 100 : 2_000)
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

    /// Draws the last values, and stops drawing. Returns after standard error is flushed, so that
    /// following output does not mix with it.
    func end() {
        state.withLock { $0.task?.cancel() }
        draw()
        if Terminal.isAvailable { StandardError.print("") }
        StandardError.flush()
    }

    private func draw() {
        state.withLock { state in
            guard Terminal.isAvailable else {
                return StandardError.print(state.rows.map(plainText).joined(separator: ", "))
            }
            let (columns, height) = Terminal.size()
            let bar = ProgressBar(
                columns: columns, isColored: Terminal.isColored, isUnicode: Terminal.isUnicode)
            // The cursor cannot move above the first line of the terminal.
            let rows = state.rows.prefix(max(1, height - 1))
            let up = state.linesDrawn > 0 ? "\u{1b}[\(state.linesDrawn)A" : ""
            let lines = rows.map { "\u{1b}[2K" + bar.line($0) }.joined(separator: "\n")
            StandardError.print(up + lines)
            state.linesDrawn = rows.count
        }
    }

    private func plainText(_ row: Row) -> String {
        "\(row.name) \(row.value)" + (row.total.map { " of \($0)" } ?? "")
    }
}

extension Double {
    func rounded(to digits: Int) -> Double {
        let factor = (0..<digits).reduce(1.0) { factor, _ in factor * 10 }
        return (self * factor).rounded() / factor
    }
}
