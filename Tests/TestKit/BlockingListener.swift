import Foundation

/// A listening TCP socket of the loopback interface with blocking calls, for servers that the tested
/// program connects to.
package final class BlockingListener: Sendable {
    let descriptor: Int32
    package let port: Int

    /// - Parameter port: by default a free port.
    /// - Throws: the reason why the port cannot be used.
    package init(port: UInt16 = 0) throws {
        descriptor = newSocket(AF_INET, SOCK_STREAM)
        let descriptor = descriptor
        setOption(SO_REUSEADDR, at: SOL_SOCKET, to: Int32(1), of: descriptor)
        limitReads(of: descriptor)
        var name = sockaddr_in(loopbackPort: port)
        do {
            try withSocketAddress(&name) { name, size in
                bind(descriptor, name, size) | listen(descriptor, 16)
                    | getsockname(descriptor, name, &size)
            }
        } catch {
            close(descriptor)
            throw error
        }
        self.port = name.port
    }

    deinit { close(descriptor) }

    /// The address as `host:port`.
    package var address: String { "127.0.0.1:\(port)" }

    /// Waits for a connection and accepts it.
    ///
    /// - Throws: `EAGAIN` if there is none within ``longestWait``, `EINVAL` after ``stop()``.
    package func accept() throws -> BlockingSocket {
        let accepted = repeatingInterrupted { Foundation.accept(descriptor, nil, nil) }
        guard accepted >= 0 else { throw POSIXError.current }
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        return BlockingSocket(adopting: accepted)
    }

    /// `true` if a connection waits to be accepted.
    package var hasConnection: Bool { firstReadable(of: [descriptor], within: 0) != nil }

    /// Ends a wait for a connection in another thread, and refuses later connections.
    package func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
