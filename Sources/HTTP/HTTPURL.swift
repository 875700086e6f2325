import UVLoop

/// Where a client's request goes: `http://host:port/path?query`.
package struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    package var address: SocketAddress
    /// Path and query, as they go over the wire.
    package var target: String

    package init(address: SocketAddress, target: String) {
        self.address = address
        self.target = target
    }

    /// - Returns: `nil` if it is not `http://` and a host; the port is 80 unless it is given.
    package init?(parsing text: String) {
        let scheme = "http://"
        guard text.lowercased().hasPrefix(scheme) else { return nil }
        let rest = text.dropFirst(scheme.count).prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end].split(separator: "@").last ?? ""
        guard !authority.isEmpty,
            let address = (try? SocketAddress(parsing: authority))
                ?? (try? SocketAddress(parsing: authority + ":80"))
        else { return nil }
        let target = String(rest[end...])
        self.init(address: address, target: target.hasPrefix("/") ? target : "/" + target)
    }

    /// Adds an argument to the query.
    package mutating func append(_ name: String, _ value: String) {
        target += target.contains("?") ? "&" : "?"
        target += PercentCoding.encode(name) + "=" + PercentCoding.encode(value)
    }

    package var description: String { "http://\(address)\(target)" }
}
