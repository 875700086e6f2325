import Testing

@testable import tally

@Suite struct `A progress bar` {
    private func line(_ value: Int, of total: Int?, columns: Int) -> String {
        var row = Progress.Row("published", of: total)
        row.value = value
        return ProgressBar(columns: columns).line(row)
    }

    @Test func `is shorter than the terminal is wide, at every width and value`() {
        for columns in 1...200 {
            for total in [1, 100, 100_000, Int.max] {
                for value in [0, 1, total / 2, total] {
                    let line = line(value, of: total, columns: columns)
                    #expect(line.count < columns, "\(columns): \(line)")
                }
            }
            #expect(line(Int.max, of: nil, columns: columns).count < columns)
        }
    }

    @Test func `has the same width at each value`() {
        let widths = [0, 7, 99_999, 100_000].map { value in
            line(value, of: 100_000, columns: 60).count { "█░".contains($0) }
        }
        #expect(Set(widths).count == 1 && widths[0] > 10)
    }

    @Test func `is full at the total and empty at 0`() {
        #expect(!line(100, of: 100, columns: 80).contains("░"))
        #expect(!line(0, of: 100, columns: 80).contains("█"))
        #expect(line(250, of: 100, columns: 80).count { $0 == "█" } == 32)
    }

    @Test func `gives way to the numbers in a narrow terminal`() {
        #expect(line(5, of: 100, columns: 30) == "  published   5 of 100")
    }

    @Test func `has only ASCII characters without UTF-8, and no escapes without color`() {
        let row = Progress.Row("counted", of: 10)
        let plain = ProgressBar(columns: 80, isUnicode: false).line(row)
        #expect(plain.utf8.allSatisfy { $0 < 0x80 })
        #expect(!ProgressBar(columns: 80).line(row).contains("\u{1b}"))
        #expect(ProgressBar(columns: 80, isColored: true).line(row).contains("\u{1b}[36m"))
    }
}
