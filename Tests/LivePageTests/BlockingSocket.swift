import Foundation
import TestKit
import UVLoop

/// A blocking client socket. It reads nothing in the background, so that a test can simulate a browser
/// that stops reading.
final class BlockingSocket: @unchecked Sendable {
    // SAFETY: (of `@unchecked Sendable`) the descriptor never changes.
    private let descriptor: Int32

    struct Failure: Error { let reason: String }

    /// - Parameter bufferBytes: the size of the receive buffer; a small one fills sooner.
    init(to address: SocketAddress, bufferBytes: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(reason: String(cString: strerror(errno))) }
        if var bytes = bufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(4))
        }
        limitReads(of: descriptor)
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

    /// Waits for bytes; returns none at the end of the stream or after the timeout.
    func read() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = repeatingInterrupted { recv(descriptor, &bytes, bytes.count, 0) }
        return Array(bytes.prefix(max(0, count)))
    }

    /// Reads until the end of the stream.
    func readAll() -> String {
        var all: [UInt8] = []
        while case let bytes = read(), !bytes.isEmpty { all += bytes }
        return String(decoding: all, as: UTF8.self)
    }
}
