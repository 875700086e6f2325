import Foundation

/// A client of a Unix-domain socket that waits for what it asks for.
package final class LocalClient {
    private let descriptor: Int32

    /// - Throws: why there is no connection.
    package init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        limitReads(of: descriptor)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .ECONNREFUSED)
        }
    }

    deinit { close(descriptor) }

    package func send(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    /// What has come, at most so many bytes; waits for the first.
    package func receive(atMost count: Int = 65_536) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = repeatingInterrupted { read(descriptor, &bytes, count) }
        return String(decoding: bytes.prefix(max(0, received)), as: UTF8.self)
    }

    /// What comes until the other side ends.
    package func receiveAll() -> String {
        var all = ""
        while case let more = receive(), !more.isEmpty { all += more }
        return all
    }
}
