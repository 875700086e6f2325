import Glibc

/// A range of IP addresses in CIDR notation, such as `127.0.0.1/8`.
struct AddressRange: Sendable {
    private let network: [UInt8]
    private let bits: Int

    /// Parses a range.
    ///
    /// - Returns: `nil` if the text is not an address, a slash and a number of bits.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let network = Self.bytes(of: String(parts[0])),
            parts[1].allSatisfy({ "0"..."9" ~= $0 }), let bits = Int(parts[1]),
            0...(network.count * 8) ~= bits
        else { return nil }
        self.network = network
        self.bits = bits
    }

    /// Returns `true` if the range contains the address. An IPv4 address that is mapped to IPv6 is
    /// treated as the IPv4 address.
    func contains(_ address: String) -> Bool {
        guard let bytes = Self.bytes(of: address), bytes.count == network.count else {
            return false
        }
        return (0..<bits).allSatisfy { bit in
            (bytes[bit / 8] ^ network[bit / 8]) & (0x80 >> (bit % 8)) == 0
        }
    }

    private static func bytes(of address: String) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, address, &bytes) == 1 { return Array(bytes.prefix(4)) }
        guard inet_pton(AF_INET6, address, &bytes) == 1 else { return nil }
        let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
        return bytes.starts(with: mapped) ? Array(bytes.suffix(4)) : bytes
    }
}
