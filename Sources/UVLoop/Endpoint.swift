/// An address to listen on: a TCP address, or the path of a Unix-domain socket.
package enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host and port.
    case tcp(SocketAddress)
    /// The path of a Unix-domain socket.
    case unix(path: String)

    /// Parses the value of an address flag as nsqd does: text of the form `host:port` is a TCP
    /// address, any other text is the path of a Unix-domain socket.
    ///
    /// - Throws: `MalformedAddress` for an invalid port and for empty text.
    package init(parsing text: String) throws(MalformedAddress) {
        if text.isEmpty || Self.isHostAndPort(text) {
            self = .tcp(try SocketAddress(parsing: text))
        } else {
            self = .unix(path: text)
        }
    }

    private static func isHostAndPort(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":") else { return false }
        let host = text[..<colon]
        return !host.contains(":") || (host.hasPrefix("[") && host.hasSuffix("]"))
    }

    /// The TCP address; `nil` for a path.
    package var tcpAddress: SocketAddress? {
        switch self {
        case .tcp(let address): address
        case .unix: nil
        }
    }

    /// The text that ``init(parsing:)`` parses.
    package var description: String {
        switch self {
        case .tcp(let address): address.description
        case .unix(let path): path
        }
    }
}
