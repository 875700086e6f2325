import Testing

@testable import tally

@Suite struct `A table of text` {
    @Test func `aligns its columns, and has no blanks at the end of a line`() {
        let lines = TextTable.lines([["name", "n", ""], ["longer name", "12", ""], ["x"]])
        #expect(lines == ["name         n", "longer name  12", "x"])
    }

    @Test func `aligns numbers to the right`() {
        let lines = TextTable.lines([["name", "count"], ["a", "7"]], leadingColumns: 1)
        #expect(lines == ["name  count", "a         7"])
    }

    @Test func `can be empty`() { #expect(TextTable.lines([]).isEmpty) }
}
