/// Draws a row of ``Progress`` as one line that fits the width of the terminal.
struct ProgressBar {
    /// The width of the terminal in characters.
    var columns: Int
    var isColored = false
    var isUnicode = true

    private static let maxWidth = 32
    /// The minimum width of a bar. If there is less space, only the numbers are shown.
    private static let minWidth = 8
    private static let nameWidth = 12

    /// Returns the line without a newline.
    func line(_ row: Progress.Row) -> String {
        let name = row.name + String(repeating: " ", count: max(1, Self.nameWidth - row.name.count))
        guard let total = row.total, total > 0 else { return cut("  \(name)\(row.value)") }
        let numbers = "\(row.value) of \(total)"
        // Space is reserved for the longest value, so that the width of the bar does not change
        // while the value grows.
        let reserved = "  \(name) \(total) of \(total)".count
        // The last column stays empty, because a character there would wrap the line in some
        // terminals.
        let width = min(Self.maxWidth, columns - 1 - reserved)
        guard width >= Self.minWidth else { return cut("  \(name)\(numbers)") }
        let filled = Int(Double(width) * min(1, Double(row.value) / Double(total)))
        let full = String(repeating: isUnicode ? "█" : "#", count: filled)
        let rest = String(repeating: isUnicode ? "░" : "-", count: width - filled)
        let bar = isColored ? "\u{1b}[36m\(full)\u{1b}[2m\(rest)\u{1b}[0m" : full + rest
        return "  \(name)\(bar) \(numbers)"
    }

    private func cut(_ text: String) -> String { String(text.prefix(max(0, columns - 1))) }
}
