/// Where to listen: a TCP address, or the path of a Unix-domain socket.
package enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    case tcp(SocketAddress)
    case unix(path: String)

    /// As nsqd reads its flags: what has the shape of `host:port` is an address, all else a path.
    ///
    /// - Throws: `MalformedAddress` for an address with a port that is none, and for nothing at all.
    package init(parsing text: String) throws(MalformedAddress) {
        if text.isEmpty || Self.hasShapeOfAddress(text) {
            self = .tcp(try SocketAddress(parsing: text))
        } else {
            self = .unix(path: text)
        }
    }

    private static func hasShapeOfAddress(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":") else { return false }
        let host = text[..<colon]
        return !host.contains(":") || (host.hasPrefix("[") && host.hasSuffix("]"))
    }

    /// `nil` for a path.
    package var tcpAddress: SocketAddress? {
        switch self {
        case .tcp(let address): address
        case .unix: nil
        }
    }

    package var description: String {
        switch self {
        case .tcp(let address): address.description
        case .unix(let path): path
        }
    }
}
