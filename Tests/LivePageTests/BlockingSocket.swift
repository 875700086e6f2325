import Foundation
import UVLoop

/// A client's socket as the system has it: nothing is read before it is asked for, so that a browser
/// that stalls is one that is not asked.
final class BlockingSocket: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) the descriptor never changes.
    private let descriptor: Int32
    /// How long a failure takes to show. The page's thread goes last, and where others want all of
    /// the processors it may have a fiftieth of one.
    private static let patience = timeval(tv_sec: 120, tv_usec: 0)

    struct Failure: Error { let reason: String }

    /// - Parameter bufferBytes: a small one is full the sooner.
    init(to address: SocketAddress, bufferBytes: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(reason: String(cString: strerror(errno))) }
        if var bytes = bufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(4))
        }
        var patience = Self.patience
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience,
            socklen_t(MemoryLayout<timeval>.size))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = UInt16(address.port).bigEndian
        name.sin_addr.s_addr = inet_addr(address.host)
        let status = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Failure(reason: String(cString: strerror(errno))) }
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// What has come; empty at the end, or when nothing came for long.
    func read() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return Array(bytes.prefix(max(0, count)))
    }

    func rest() -> String {
        var all: [UInt8] = []
        while case let bytes = read(), !bytes.isEmpty { all += bytes }
        return String(decoding: all, as: UTF8.self)
    }
}
