import CPostgreSQL

/// The rows that a statement returned, in binary format. A column outside of the result is a
/// mistake of the caller.
package final class PostgreSQLRows {
    private let result: OpaquePointer

    /// Takes ownership of a result.
    init(_ result: OpaquePointer) {
        self.result = result
    }

    deinit {
        PQclear(result)
    }

    /// The number of rows.
    package var count: Int { Int(PQntuples(result)) }

    /// A value of type `bool`, `int2`, `int4` or `int8`; `nil` for `NULL`.
    package func int(_ row: Int, _ column: Int) -> Int? {
        withBytes(row, column) { bytes in
            guard !bytes.isEmpty, bytes.count <= 8 else { return nil }
            let start: Int = bytes.count > 1 && bytes[0] & 0x80 != 0 ? -1 : 0
            return bytes.reduce(start) { $0 << 8 | Int($1) }
        }
    }

    /// A value of type `bool`; `false` for `NULL`.
    package func bool(_ row: Int, _ column: Int) -> Bool { int(row, column) == 1 }

    /// A value of type `text`; `nil` for `NULL`.
    package func text(_ row: Int, _ column: Int) -> String? {
        withBytes(row, column) { String(decoding: $0, as: UTF8.self) }
    }

    /// A value of type `bytea` or `uuid`; `nil` for `NULL`.
    package func bytes(_ row: Int, _ column: Int) -> [UInt8]? {
        withBytes(row, column) { Array($0) }
    }

    /// Calls `body` with the bytes of a value, which are valid only during the call; returns `nil`
    /// for `NULL`.
    package func withBytes<Value>(
        _ row: Int, _ column: Int, _ body: (UnsafeRawBufferPointer) -> Value?
    ) -> Value? {
        let (row, column) = (Int32(row), Int32(column))
        precondition(
            row < PQntuples(result) && column < PQnfields(result), "the result has this value")
        guard PQgetisnull(result, row, column) == 0 else { return nil }
        // SAFETY: libpq keeps the value until PQclear, and `self` retains the result.
        return body(
            UnsafeRawBufferPointer(
                start: PQgetvalue(result, row, column),
                count: Int(PQgetlength(result, row, column))))
    }
}
