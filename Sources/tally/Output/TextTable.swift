/// A table of text for people.
enum TextTable {
    /// Aligns the columns, with two spaces between them and none at the end of a line.
    ///
    /// - Parameters:
    ///   - rows: the cells of each line; a line may have fewer cells than others.
    ///   - leadingColumns: the number of columns that are aligned to the left; by default all. The
    ///     remaining columns are aligned to the right.
    static func lines(_ rows: [[String]], leadingColumns: Int = .max) -> [String] {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column < leadingColumns ? cell + padding : padding + cell
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
