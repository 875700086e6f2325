import Foundation

/// A TCP client with blocking calls.
package final class TCPClient {
    private let descriptor: Int32

    /// Connects.
    ///
    /// - Parameter address: a numeric IPv4 address and a port, as `host:port`.
    /// - Throws: why there is no connection.
    package init(to address: String) throws {
        let parts = address.split(separator: ":")
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        limitReads(of: descriptor)
        var numeric = sockaddr_in()
        numeric.sin_family = sa_family_t(AF_INET)
        numeric.sin_port = in_port_t(parts[1])!.bigEndian
        inet_pton(AF_INET, String(parts[0]), &numeric.sin_addr)
        let status = withUnsafePointer(to: numeric) { numeric in
            // SAFETY: the address of an AF_INET socket has the layout of sockaddr_in.
            numeric.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .ECONNREFUSED)
        }
    }

    deinit { close(descriptor) }

    /// The client's own port.
    package var port: Int {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            // SAFETY: the address of an AF_INET socket has the layout of sockaddr_in.
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = getsockname(descriptor, $0, &size)
            }
        }
        return Int(in_port_t(bigEndian: address.sin_port))
    }

    /// Shuts down the write side.
    package func end() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Sends bytes until the peer stops reading.
    package func send(_ bytes: some Sequence<UInt8>) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Receives `count` bytes, or fewer if the peer closes its side.
    package func receive(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < count {
            let size = min(piece.count, count - bytes.count)
            let got = repeatingInterrupted { recv(descriptor, &piece, size, 0) }
            guard got > 0 else { break }
            bytes += piece[..<got]
        }
        return bytes
    }

    /// Receives bytes until the peer closes its side.
    package func receiveAll() -> [UInt8] { receive(.max) }
}

/// The response to an HTTP request of a test.
package struct HTTPAnswer: Equatable {
    package var status: Int
    /// The header fields, with names in lower case.
    package var headers: [String: String]
    package var body: String

    /// The status and the body, for comparisons.
    package var summary: String { "\(status) \(body)" }

    /// Sends an HTTP/1.0 request, whose response ends with the connection.
    ///
    /// - Parameter headers: further lines of the head, each with its line end.
    package static func ask(
        _ address: String, _ method: String, _ target: String, headers: String = "",
        body: String = ""
    ) throws -> HTTPAnswer {
        let client = try TCPClient(to: address)
        let length = "Content-Length: \(body.utf8.count)"
        client.send("\(method) \(target) HTTP/1.0\r\n\(length)\r\n\(headers)\r\n\(body)".utf8)
        let text = String(decoding: client.receiveAll(), as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else {
            return HTTPAnswer(status: 0, headers: [:], body: text)
        }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let sides = line.split(separator: ": ", maxSplits: 1)
            fields[sides[0].lowercased()] = sides.count > 1 ? String(sides[1]) : ""
        }
        let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return HTTPAnswer(
            status: status ?? 0, headers: fields, body: String(text[end.upperBound...]))
    }
}
