/// What a message says before its body.
package struct HTTPHead: Sendable {
    /// Of a request.
    package var method: String
    package var target: String
    /// Of an answer.
    package var status: Int
    package var version: HTTPVersion
    package var headers: HTTPHeaders
    package var bodyLength: BodyLength
    /// Whether the connection is to be kept for another request.
    package var keepsAlive: Bool

    package enum BodyLength: Equatable, Sendable {
        case bytes(Int)
        /// It comes in chunks.
        case unknown
    }

    var hasBody: Bool { bodyLength != .bytes(0) }
}

package struct HTTPVersion: Equatable, Sendable {
    package var major: Int
    package var minor: Int

    static let http10 = HTTPVersion(major: 1, minor: 0)
}

/// Header fields in the order they came, all in one piece of memory.
package struct HTTPHeaders: Sendable {
    private var bytes: [UInt8] = []
    private var fields: [Field] = []

    private struct Field {
        var start: Int
        var nameEnd: Int
        var end: Int
    }

    package init() {}

    package var count: Int { fields.count }

    /// The value of the first field of this name, whose case does not matter.
    package subscript(_ name: String) -> String? { values(of: name).first }

    package func values(of name: String) -> [String] {
        fields.filter { Self.isSame(bytes[$0.start..<$0.nameEnd], name.utf8) }
            .map { String(decoding: bytes[$0.nameEnd..<$0.end], as: UTF8.self) }
    }

    mutating func startField() {
        fields.append(Field(start: bytes.count, nameEnd: bytes.count, end: bytes.count))
    }

    mutating func append(name: some Collection<UInt8>) {
        bytes += name
        fields[fields.count - 1].nameEnd = bytes.count
        fields[fields.count - 1].end = bytes.count
    }

    mutating func append(value: some Collection<UInt8>) {
        bytes += value
        fields[fields.count - 1].end = bytes.count
    }

    private static func isSame(_ one: ArraySlice<UInt8>, _ other: String.UTF8View) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { $0.lowercased == $1.lowercased }
    }
}

extension UInt8 {
    fileprivate var lowercased: UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
    }
}
