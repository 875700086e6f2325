import ArgumentParser
import UVLoop

extension SocketAddress: ExpressibleByArgument {
    /// Parses the value of an option on the command line.
    public init?(argument: String) {
        guard let address = try? SocketAddress(parsing: argument) else { return nil }
        self = address
    }
}

extension SocketAddress {
    /// The address to which a client on this machine connects: for a wildcard address, the loopback
    /// address.
    var reachable: SocketAddress {
        switch host {
        case "0.0.0.0": SocketAddress(host: "127.0.0.1", port: port)
        case "::": SocketAddress(host: "::1", port: port)
        default: self
        }
    }
}
