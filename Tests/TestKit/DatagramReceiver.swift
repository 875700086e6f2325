import Foundation

/// A socket for datagrams, of UDP on the loopback interface or of a Unix domain, whose reads have a time
/// limit.
package final class DatagramReceiver {
    private let descriptor: Int32
    /// The address as `host:port`, or the path.
    package let address: String

    /// - Parameter path: the path of the socket, which is created.
    /// - Throws: the reason why there is no socket.
    package init(path: String) throws {
        descriptor = newSocket(AF_UNIX, SOCK_DGRAM)
        let descriptor = descriptor
        address = path
        do {
            var name = try sockaddr_un(path: path)
            try withSocketAddress(&name) { bind(descriptor, $0, $1) }
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// - Throws: the reason why there is no socket.
    package init() throws {
        descriptor = newSocket(AF_INET, SOCK_DGRAM)
        let descriptor = descriptor
        var name = sockaddr_in(loopbackPort: 0)
        do {
            try withSocketAddress(&name) { name, size in
                bind(descriptor, name, size) | getsockname(descriptor, name, &size)
            }
        } catch {
            close(descriptor)
            throw error
        }
        address = "127.0.0.1:\(name.port)"
    }

    deinit { close(descriptor) }

    package typealias Datagram = (date: Date, text: String)

    /// Receives datagrams up to one that contains `text`.
    ///
    /// - Returns: all of them, or `nil` if none contains it within `timeout` seconds.
    package func datagrams(
        upTo text: some RegexComponent, timeout: TimeInterval = longestWait
    ) -> [Datagram]? {
        let deadline = Date(timeIntervalSinceNow: timeout)
        var all: [Datagram] = []
        while let next = receive(within: deadline.timeIntervalSinceNow) {
            all.append((Date(), next))
            if next.contains(text) { return all }
        }
        return nil
    }

    /// Receives datagrams until none has arrived for `seconds`.
    package func datagrams(untilSilentFor seconds: TimeInterval) -> [Datagram] {
        var all: [Datagram] = []
        while let next = receive(within: seconds) { all.append((Date(), next)) }
        return all
    }

    private func receive(within seconds: TimeInterval) -> String? {
        guard firstReadable(of: [descriptor], within: seconds) != nil else { return nil }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }
}
