import Glibc

/// A free TCP port of 127.0.0.1 that the system assigns to no other socket while this object exists,
/// so that a server can be stopped and started again at the same address.
///
/// The socket is bound with `SO_REUSEADDR` and does not listen. On Linux, another socket with
/// `SO_REUSEADDR` can then listen on this port if it requests the port by number. A socket that
/// requests any free port never gets it.
package final class PortReservation: Sendable {
    /// The reserved port.
    package let port: Int
    private let descriptor: Int32

    /// The address `127.0.0.1:port`.
    package var address: String { "127.0.0.1:\(port)" }

    /// Reserves a port.
    ///
    /// - Returns: `nil` if the process has no file descriptors or the system no ports left.
    package init?() {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(AF_INET, type, 0)
        var isReusable: Int32 = 1
        let optionSize = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReusable, optionSize)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let status = withUnsafeMutablePointer(to: &name) { name in
            // SAFETY: a sockaddr_in is the socket address of AF_INET.
            name.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) | getsockname(descriptor, $0, &size)
            }
        }
        port = Int(in_port_t(bigEndian: name.sin_port))
        guard descriptor >= 0, status == 0 else { return nil }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }
}
