import GRDB

/// The columns of the row that a statement has just read.
///
/// GRDB's `Row` looks up the names of all columns when it is created, which takes a third of the time of a
/// claim. Compare with: `perf record` of a worker that drains jobs without work.
struct StatementColumns {
    private let statement: SQLiteStatement

    fileprivate init(_ statement: SQLiteStatement) {
        self.statement = statement
    }

    /// The value of a column; `nil` for NULL.
    func optional<Value: StatementColumnConvertible>(
        _ index: CInt, as type: Value.Type = Value.self
    ) -> Value? {
        Value.fromStatement(statement, atUncheckedIndex: index)
    }

    /// The integer of a column that is not NULL.
    func integer(_ index: CInt) -> Int64 { optional(index) ?? 0 }

    /// The integer of a column that is not NULL, limited to ±2⁶². The store writes no integer beyond
    /// the limit, and if another program has written one, sums do not overflow.
    func int(_ index: CInt) -> Int {
        min(max(optional(index) ?? 0, -Self.maxInteger), Self.maxInteger)
    }

    private static let maxInteger = 1 << 62

    /// The text of a column that is not NULL.
    func text(_ index: CInt) -> String { optional(index) ?? "" }

    func time(_ index: CInt) -> JobTime { JobTime(microseconds: integer(index)) }

    func optionalTime(_ index: CInt) -> JobTime? {
        optional(index, as: Int64.self).map { JobTime(microseconds: $0) }
    }
}

/// A value that is read from a row whose first column is not NULL.
protocol StatementRow {
    init(_ columns: StatementColumns)
}

extension StatementRow {
    /// Returns the first row of a statement; `nil` if there is none.
    static func fetchOne(_ statement: Statement, _ arguments: StatementArguments) throws -> Self? {
        try Decoded<Self>.fetchOne(statement, arguments: arguments)?.row
    }

    /// Returns all rows of a statement.
    static func fetchAll(_ statement: Statement, _ arguments: StatementArguments) throws -> [Self] {
        try Decoded<Self>.fetchAll(statement, arguments: arguments).map(\.row)
    }
}

/// Lets GRDB read a row as if it were the value of its first column.
private struct Decoded<Row: StatementRow>: DatabaseValueConvertible, StatementColumnConvertible {
    let row: Row

    init?(sqliteStatement: SQLiteStatement, index: CInt) {
        row = Row(StatementColumns(sqliteStatement))
    }

    // GRDB requires a conversion in the other direction, which nothing uses.
    var databaseValue: DatabaseValue { .null }

    static func fromDatabaseValue(_ value: DatabaseValue) -> Decoded? { nil }
}
