import Foundation

/// An HTTP server that gives the same answer once per connection.
final class AnsweringServer: Sendable {
    let address: String
    private let descriptor: Int32

    init(_ body: String) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) | listen(descriptor, 8)
                    | getsockname(descriptor, pointer, &length)
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
        self.descriptor = descriptor
        address = "127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(body.utf8.count)"
        let answer = Array("\(head)\r\n\r\n\(body)".utf8)
        Thread.detachNewThread {
            while case let client = accept(descriptor, nil, nil), client >= 0 {
                var question = [UInt8](repeating: 0, count: 4096)
                _ = recv(client, &question, question.count, 0)
                _ = send(client, answer, answer.count, Int32(MSG_NOSIGNAL))
                close(client)
            }
            close(descriptor)
        }
    }

    /// Wakes up the accepting thread, which then ends.
    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }
}
