import Glibc

/// A host and a port: `127.0.0.1:4150`, `[::1]:4150`, `nsqd.local:4150`, `:4150`.
///
/// An empty host means all interfaces in a listener, and 127.0.0.1 in a client.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// A host name or a numeric address, without brackets.
    package var host: String
    /// The port number, 0 to 65535.
    package var port: Int

    /// Combines a host and a port.
    ///
    /// - Precondition: the port is 0 to 65535. Use ``init(host:validating:)`` for a port from user
    ///   input.
    package init(host: String, port: Int) {
        precondition(0...65_535 ~= port, "a port is 0 to 65535")
        self.host = host
        self.port = port
    }

    /// Combines a host with a port from user input.
    ///
    /// - Returns: `nil` if the port is not in the range 1 to 65535.
    package init?(host: String, validating port: Int) {
        guard 1...65_535 ~= port else { return nil }
        self.init(host: host, port: port)
    }

    /// Parses `host:port`.
    ///
    /// - Throws: `MalformedAddress` when the port is missing or out of range, and when an IPv6 host
    ///   has no brackets.
    package init(parsing text: some StringProtocol) throws(MalformedAddress) {
        guard let colon = text.lastIndex(of: ":"),
            let port = Self.port(text[text.index(after: colon)...])
        else { throw MalformedAddress(text: String(text)) }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw MalformedAddress(text: String(text))
        }
        self.init(host: String(host), port: Int(port))
    }

    /// Parses a port: a number, or the name of a service such as `http`.
    private static func port(_ text: some StringProtocol) -> UInt16? {
        if let port = UInt16(text) { return port }
        // The system may have no list of services.
        switch text {
        case "http": return 80
        case "https": return 443
        default: break
        }
        guard !text.isEmpty, !text.contains(where: \.isNumber),
            let service = getservbyname(String(text), "tcp")
        else { return nil }
        return UInt16(truncatingIfNeeded: service.pointee.s_port).byteSwapped
    }

    /// The text that ``init(parsing:)`` parses.
    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// Text that is not of the form `host:port`.
package struct MalformedAddress: Error, Equatable, CustomStringConvertible {
    /// The invalid text.
    package let text: String

    /// Creates an error for the invalid `text`.
    package init(text: String) {
        self.text = text
    }

    /// A message for users.
    package var description: String {
        "“\(text)” is not an address like 127.0.0.1:4150"
    }
}
