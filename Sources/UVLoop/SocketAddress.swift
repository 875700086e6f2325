/// A host and a port, as people write them: `127.0.0.1:4150`, `[::1]:4150`, `nsqd.local:4150`,
/// `:4150`.
///
/// An empty host means every interface to a listener and this machine to a connecting client.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// - Throws: `MalformedAddress` when there is no port, or none from 0 to 65535, or when an
    ///   IPv6 host stands without its brackets.
    package init(parsing text: some StringProtocol) throws(MalformedAddress) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { throw MalformedAddress(text: String(text)) }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw MalformedAddress(text: String(text))
        }
        self.init(host: String(host), port: Int(port))
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

package struct MalformedAddress: Error, Equatable, CustomStringConvertible {
    package let text: String

    package init(text: String) {
        self.text = text
    }

    package var description: String {
        "“\(text)” is not an address like 127.0.0.1:4150"
    }
}
