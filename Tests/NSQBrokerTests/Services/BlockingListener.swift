import Glibc
import TestKit
import UVLoop

/// A listening socket with blocking calls, for servers that the broker connects to.
final class BlockingListener {
    private let descriptor: Int32
    let address: SocketAddress

    struct NobodyCame: Error {}

    init(port: Int = 0) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(4))
        limitReads(of: descriptor)
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = in_port_t(port).bigEndian
        inet_pton(AF_INET, "127.0.0.1", &place.sin_addr)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let status = withUnsafeMutablePointer(to: &place) { place in
            // SAFETY: the address of an AF_INET socket has the layout of sockaddr_in.
            place.withMemoryRebound(to: sockaddr.self, capacity: 1) { place in
                bind(descriptor, place, size) | listen(descriptor, 16)
                    | getsockname(descriptor, place, &size)
            }
        }
        address = SocketAddress(host: "127.0.0.1", port: Int(in_port_t(bigEndian: place.sin_port)))
        guard status == 0 else { throw UVError(code: -errno) }
    }

    deinit { close(descriptor) }

    /// Accepts a connection, and waits for it.
    func accept() throws -> BlockingSocket {
        let accepted = repeatingInterrupted { Glibc.accept(descriptor, nil, nil) }
        guard accepted >= 0 else { throw NobodyCame() }
        return BlockingSocket(accepted)
    }

    /// `true` if a connection waits to be accepted.
    var isCalled: Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) == 1
    }
}

extension BlockingSocket {
    /// `true` if no byte waits to be read.
    var hasNothing: Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) == 0
    }

    /// Receives the next line without its end, or the rest if the peer closes its side.
    func receiveLine() -> String {
        var line: [UInt8] = []
        while let byte = receive(1).first, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    /// Receives an HTTP request: the lines of its head, and its body.
    func receiveRequest() -> (head: [String], body: String) {
        var head: [String] = []
        while case let line = receiveLine().replacing("\r", with: ""), !line.isEmpty {
            head.append(line)
        }
        let length = head.compactMap { $0.wholeMatch(of: /Content-Length: (\d+)/)?.1 }.first
        let body = receive(length.flatMap { Int($0) } ?? 0)
        return (head, String(decoding: body, as: UTF8.self))
    }

    /// Responds, and announces that the connection closes.
    func answer(_ body: String, status: Int = 200) {
        let head = "HTTP/1.1 \(status) Whatever\r\nContent-Length: \(body.utf8.count)\r\n"
        send(Array((head + "Connection: close\r\n\r\n" + body).utf8))
    }
}
