/// Resolves a host name to numeric addresses, for a library that would block while it resolves.
package final class HostLookup {
    private let lookup: NameLookup

    /// Starts the lookup.
    ///
    /// - Parameter done: runs on the loop, in a later iteration, with the numeric addresses.
    /// - Throws: `UVError` if the lookup cannot be started.
    package init(
        of host: String, on loop: Loop, _ done: @escaping (Result<[String], UVError>) -> Void
    ) throws(UVError) {
        lookup = NameLookup { result in done(result.map { $0.map(\.socketAddress.host) }) }
        try lookup.start(SocketAddress(host: host, port: 0), on: loop)
    }

    /// `true` if the host is an IPv4 or IPv6 address, which needs no lookup.
    package static func isNumeric(_ host: String) -> Bool {
        NumericAddress(host: host, port: 0) != nil
    }

    /// Ends the lookup without calling `done`.
    package func cancel() { lookup.cancel() }
}
