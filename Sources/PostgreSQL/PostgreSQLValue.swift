/// A parameter of a statement, which is sent in PostgreSQL's binary format.
package enum PostgreSQLValue: Sendable {
    /// `NULL` of type `int8`.
    case null
    case int(Int64)
    case text(String)
    case bytes([UInt8])
    case ints([Int64])
    /// An array of `uuid`: 16 bytes for each element, without separators.
    case uuids([UInt8])

    /// The object ID of the type in `pg_type`.
    var type: UInt32 {
        switch self {
        case .null, .int: 20
        case .text: 25
        case .bytes: 17
        case .ints: 1016
        case .uuids: 2951
        }
    }

    /// The binary format; `nil` for `NULL`.
    var encoded: [UInt8]? {
        switch self {
        case .null: nil
        case .int(let value): bigEndian(value)
        case .text(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        case .ints(let values): array(of: 20, values.count) { bigEndian(values[$0])[...] }
        case .uuids(let bytes):
            array(of: 2950, bytes.count / 16) { bytes[$0 * 16..<($0 + 1) * 16] }
        }
    }

    /// Encodes a one-dimensional array without `NULL`s, as `array_recv` reads it.
    private func array(
        of type: Int32, _ count: Int, _ element: (Int) -> ArraySlice<UInt8>
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20 + count * 20)
        let dimensions: Int32 = count == 0 ? 0 : 1
        for word in [dimensions, 0, type] { bytes += bigEndian(word) }
        guard count > 0 else { return bytes }
        // The length and the lowest index of the dimension.
        for word in [Int32(count), 1] { bytes += bigEndian(word) }
        for index in 0..<count {
            let element = element(index)
            withUnsafeBytes(of: Int32(element.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: element)
        }
        return bytes
    }

    private func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}

/// A statement with its parameters. It is sent unnamed and leaves no state in the session, so it
/// works through pgbouncer in transaction mode.
package struct PostgreSQLStatement: Sendable {
    package let sql: String
    package let parameters: [PostgreSQLValue]

    /// Creates a statement.
    ///
    /// - Parameters:
    ///   - sql: one command with the parameters `$1`, `$2` and so on.
    ///   - parameters: their values.
    package init(_ sql: String, _ parameters: [PostgreSQLValue] = []) {
        self.sql = sql
        self.parameters = parameters
        script = false
    }

    /// Creates a script of several commands without parameters, which the server executes in one
    /// transaction. Its results are in text format.
    package init(script sql: String) {
        self.sql = sql
        parameters = []
        script = true
    }

    let script: Bool
}
