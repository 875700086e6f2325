/// The server side of an HTTP/1.1 connection with one request.
extension BlockingSocket {
    /// Receives the next line without its end, or the rest if the peer closes its side.
    package func receiveLine() -> String {
        var line: [UInt8] = []
        while let byte = receive(1).first, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    /// Receives a request: the lines of its head, and its body.
    package func receiveRequest() -> (head: [String], body: String) {
        var head: [String] = []
        while case let line = receiveLine().replacing("\r", with: ""), !line.isEmpty {
            head.append(line)
        }
        let length = head.compactMap { $0.wholeMatch(of: /Content-Length: (\d+)/)?.1 }.first
        let body = receive(length.flatMap { Int($0) } ?? 0)
        return (head, String(decoding: body, as: UTF8.self))
    }

    /// Sends a response with `Connection: close`.
    package func respond(_ body: String, status: Int = 200) {
        send(Self.response(body, status: status))
    }

    /// Returns the bytes of a response with `Connection: close`, for connections with TLS.
    package static func response(_ body: String, status: Int = 200) -> String {
        "HTTP/1.1 \(status) Reason\r\nContent-Length: \(body.utf8.count)\r\n"
            + "Connection: close\r\n\r\n\(body)"
    }
}
