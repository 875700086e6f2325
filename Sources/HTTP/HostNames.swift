/// The `Host` names under which a server answers.
///
/// The check prevents DNS rebinding. Without it, a web page whose host name resolves to the address
/// of this server would have the same origin as the server. Scripts of that page could then read and
/// change the data of the server.
package struct HostNames: Sendable {
    private let rule: Rule
    private let furtherNames: Set<String>

    /// The names that need no configuration.
    package enum Rule: Sendable {
        /// Every name. Clients in a network use names that the server does not know.
        case any
        /// `localhost` and loopback addresses.
        case loopback
        /// `localhost` and all numeric addresses, which no rebinding can use.
        case numeric
    }

    /// Combines a rule with further names.
    ///
    /// - Parameter names: host names without port, in any case.
    package init(_ rule: Rule, and names: some Sequence<String> = []) {
        self.rule = rule
        furtherNames = Set(names.map { $0.lowercased() })
    }

    /// Returns `true` if the server answers under the name.
    ///
    /// - Parameter host: the value of a `Host` header: a name or an address, with or without port.
    package func accepts(_ host: String) -> Bool {
        if rule == .any { return true }
        // A longer text is not a host name (RFC 1035, 2.3.4) with a port, which has up to 6
        // characters.
        guard host.utf8.count <= 264, let name = Self.name(in: host) else { return false }
        if furtherNames.contains(name) || name == "localhost" || name.hasSuffix(".localhost") {
            return true
        }
        guard rule == .numeric else { return Self.isLoopback(address: name) }
        return name.contains(":") || Self.isIPv4(name)
    }

    /// Returns `true` for the addresses 127.0.0.0 to 127.255.255.255 and ::1.
    package static func isLoopback(address: String) -> Bool {
        address == "::1" || (address.hasPrefix("127.") && isIPv4(address))
    }

    /// Returns the name without its port, without the brackets of an IPv6 address, and in lower
    /// case; `nil` if the text is malformed.
    private static func name(in host: String) -> String? {
        var name = host[...]
        if let colon = name.lastIndex(of: ":"), !name.hasSuffix("]") {
            guard name[colon...].dropFirst().allSatisfy({ "0"..."9" ~= $0 }) else { return nil }
            name = name[..<colon]
        }
        if name.hasPrefix("[") {
            guard name.hasSuffix("]") else { return nil }
            name = name.dropFirst().dropLast()
            guard name.contains(":"), name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." })
            else { return nil }
        } else if name.contains(":") {
            return nil
        }
        if name.hasSuffix(".") { name = name.dropLast() }
        return name.isEmpty ? nil : name.lowercased()
    }

    private static func isIPv4(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { $0.utf8.count <= 3 && UInt8($0) != nil && $0.first != "+" }
    }
}
