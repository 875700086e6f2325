/// The start line and the header fields of a request or a response.
package struct HTTPHead: Sendable {
    /// The method of a request.
    package var method: String
    /// The target of a request, with its percent escapes.
    package var target: String
    /// The status code of a response.
    package var status: Int
    /// The HTTP version.
    package var version: HTTPVersion
    /// The header fields.
    package var headers: HTTPHeaders
    /// The body length that the head announces.
    package var bodyLength: BodyLength
    /// Whether the connection stays open for another request.
    package var keepsAlive: Bool

    /// The length of a body.
    package enum BodyLength: Equatable, Sendable {
        /// The body length in bytes, from `Content-Length`; 0 if the header is missing.
        case bytes(Int)
        /// The body has chunked or another transfer encoding, so its length is unknown.
        case unknown
    }

    var hasBody: Bool { bodyLength != .bytes(0) }
}

/// An HTTP version, such as 1.1.
package struct HTTPVersion: Equatable, Sendable {
    /// 1 for HTTP/1.1.
    package var major: Int
    /// 1 for HTTP/1.1.
    package var minor: Int

    static let http10 = HTTPVersion(major: 1, minor: 0)
}

/// Header fields in the order of the message, stored in one array.
package struct HTTPHeaders: Sendable {
    private var bytes: [UInt8] = []
    private var fields: [Field] = []

    private struct Field {
        var start: Int
        var nameEnd: Int
        var end: Int
    }

    /// Creates an empty list.
    package init() {}

    package var count: Int { fields.count }

    /// The size of the fields as they are received, each with its colon and line end.
    var byteCount: Int { bytes.count + 3 * fields.count }

    /// `true` if each name is a token (RFC 9110, 5.6.2).
    var hasValidNames: Bool {
        fields.allSatisfy {
            $0.nameEnd > $0.start && bytes[$0.start..<$0.nameEnd].allSatisfy(\.isToken)
        }
    }

    /// The value of the first field with this name, compared without regard to case.
    package subscript(_ name: String) -> String? { values(of: name).first }

    /// The values of all fields with this name, compared without regard to case.
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
    /// `true` for a character of a token (RFC 9110, 5.6.2).
    fileprivate var isToken: Bool {
        switch UnicodeScalar(self) {
        case "a"..."z", "A"..."Z", "0"..."9", "!", "#", "$", "%", "&", "'", "*", "+", "-", ".", "^",
            "_", "`", "|", "~":
            true
        default: false
        }
    }

    fileprivate var lowercased: UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
    }
}
