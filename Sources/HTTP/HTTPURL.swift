import UVLoop

/// Where a client's request goes: `http://host:port/path?query`.
package struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    package enum Scheme: String, Sendable {
        case http, https

        var port: Int { self == .http ? 80 : 443 }
    }

    package var scheme = Scheme.http
    package var address: SocketAddress
    /// Path and query, as they go over the wire.
    package var target: String

    package init(address: SocketAddress, target: String) {
        self.address = address
        self.target = target
    }

    /// - Returns: `nil` if it is not of `scheme` and has no host; the port is the scheme's (80, or
    ///   443) unless it is given.
    package init?(parsing text: String, scheme: Scheme = .http) {
        let start = "\(scheme)://"
        guard text.lowercased().hasPrefix(start) else { return nil }
        let rest = text.dropFirst(start.count).prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end].split(separator: "@").last ?? ""
        guard !authority.isEmpty,
            let address = (try? SocketAddress(parsing: authority))
                ?? (try? SocketAddress(parsing: authority + ":\(scheme.port)"))
        else { return nil }
        let target = String(rest[end...])
        self.init(address: address, target: target.hasPrefix("/") ? target : "/" + target)
        self.scheme = scheme
    }

    /// Adds an argument to the query, encoded as a form's.
    package mutating func append(_ name: String, _ value: String) {
        target += target.contains("?") ? "&" : "?"
        target += Self.encode(name) + "=" + Self.encode(value)
    }

    private static func encode(_ text: String) -> String {
        PercentCoding.encode(text, keeping: " ").replacing(" ", with: "+")
    }

    /// What the server is told that it was reached by: without a port that goes without saying.
    var host: String {
        guard address.port == scheme.port else { return "\(address)" }
        return address.host.contains(":") ? "[\(address.host)]" : address.host
    }

    package var description: String { "\(scheme)://\(address)\(target)" }
}
