import UVLoop

/// The URL of a client's request: `http://host:port/path?query`.
package struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    /// The protocol of a URL.
    package enum Scheme: String, Sendable {
        /// HTTP over TCP (`http`), and HTTP over TLS (`https`).
        case http, https

        var port: Int { self == .http ? 80 : 443 }
    }

    /// The scheme; `http` by default.
    package var scheme = Scheme.http
    /// The host and the port.
    package var address: SocketAddress
    /// The path and the query, percent-encoded.
    package var target: String

    /// Combines an address and a percent-encoded target.
    package init(address: SocketAddress, target: String) {
        self.address = address
        self.target = target
    }

    /// Parses a URL of the given scheme. The port defaults to 80 or 443.
    ///
    /// - Returns: `nil` if the scheme differs, the authority is missing, or ``defect(in:)`` finds a
    ///   defect in the text.
    package init?(parsing text: String, scheme: Scheme = .http) {
        let start = "\(scheme)://"
        guard text.lowercased().hasPrefix(start), Self.defect(in: text) == nil else { return nil }
        let rest = text.dropFirst(start.count).prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let at = rest[..<end].lastIndex(of: "@").map { rest.index(after: $0) }
        let authority = rest[(at ?? rest.startIndex)..<end]
        guard !authority.isEmpty, let address = Self.address(authority, scheme) else { return nil }
        let target = String(rest[end...])
        self.init(address: address, target: target.hasPrefix("/") ? target : "/" + target)
        self.scheme = scheme
    }

    /// Parses a host and an optional port, which may be empty.
    private static func address(_ authority: Substring, _ scheme: Scheme) -> SocketAddress? {
        let bracket = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
        let colon = authority[(bracket ?? authority.startIndex)...].firstIndex(of: ":")
        let host = authority[..<(colon ?? authority.endIndex)]
        let port = colon.map { authority[$0...].dropFirst() } ?? ""
        guard port.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        return try? SocketAddress(parsing: "\(host):\(port.isEmpty ? "\(scheme.port)" : port)")
    }

    /// Finds a character that a URL must contain in percent-encoded form, or an incomplete percent
    /// escape. A blank or a line break would end the request line.
    ///
    /// - Returns: a description for users, without any other part of the text, which may contain
    ///   secrets; `nil` if there is none.
    /// - SeeAlso: RFC 3986, section 2.
    package static func defect(in text: String) -> String? {
        for scalar in text.unicodeScalars where !isAllowed(scalar) {
            let escaped = PercentCoding.encode(String(scalar))
            switch scalar {
            case " ": return "it contains a blank (write \(escaped))"
            case _ where scalar.properties.generalCategory == .control:
                return "it contains a control character (U+\(hex(scalar)))"
            default: return "it contains '\(scalar)' (write \(escaped))"
            }
        }
        guard PercentCoding.decode(text) != nil else {
            return "a '%' is not followed by two hex digits (write %25 for a percent sign)"
        }
        return nil
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        "!"..."~" ~= scalar && !#""<>\^`{|}"#.unicodeScalars.contains(scalar)
    }

    private static func hex(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// Appends an argument to the query, in the encoding of form fields (`+` for a space).
    package mutating func append(_ name: String, _ value: String) {
        target += target.contains("?") ? "&" : "?"
        target += Self.encode(name) + "=" + Self.encode(value)
    }

    private static func encode(_ text: String) -> String {
        PercentCoding.encode(text, keeping: " ").replacing(" ", with: "+")
    }

    /// The value of the `Host` header: without the port if it is the scheme's default.
    var host: String {
        guard address.port == scheme.port else { return "\(address)" }
        return address.host.contains(":") ? "[\(address.host)]" : address.host
    }

    /// `false` if the host or the target contains a blank or a control character: it would end the request
    /// line or the header.
    var isSendable: Bool {
        [address.host, target].allSatisfy { text in
            text.utf8.allSatisfy { $0 > UInt8(ascii: " ") && $0 != 0x7F }
        }
    }

    /// The text that ``init(parsing:scheme:)`` parses.
    package var description: String { "\(scheme)://\(address)\(target)" }
}
