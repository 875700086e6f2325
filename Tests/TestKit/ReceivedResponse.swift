import Foundation

/// An HTTP response that a test has received.
package struct ReceivedResponse: Equatable, Sendable {
    /// The status; 0 if the server sent no complete head.
    package var status: Int
    /// The header fields, with names in lower case.
    package var headers: [String: String]
    package var body: String

    /// The status and the body, for comparisons.
    package var summary: String { "\(status) \(body)" }

    /// Sends an HTTP/1.0 request and receives its response, which ends with the connection and is not
    /// chunked.
    ///
    /// - Parameters:
    ///   - address: `host:port`, or the path of a Unix-domain socket.
    ///   - headers: further lines of the head, each with its line end.
    /// - Throws: the reason why there is no connection.
    package init(
        to method: String, _ target: String, at address: some CustomStringConvertible,
        headers: String = "", body: some Sequence<UInt8> = EmptyCollection<UInt8>()
    ) throws {
        let socket = try BlockingSocket(to: address)
        let body = Array(body)
        let head = "\(method) \(target) HTTP/1.0\r\nContent-Length: \(body.count)\r\n\(headers)\r\n"
        socket.send(Array(head.utf8) + body)
        self.init(parsing: socket.receiveAll())
    }

    /// Parses a head, and takes the bytes after it as the body.
    package init(parsing bytes: some Sequence<UInt8>) {
        let text = String(decoding: Array(bytes), as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else {
            self.init(status: 0, headers: [:], body: text)
            return
        }
        let lines = text[..<end.lowerBound].split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let sides = line.split(separator: ": ", maxSplits: 1)
            headers[sides[0].lowercased()] = sides.count > 1 ? String(sides[1]) : ""
        }
        self.init(status: status ?? 0, headers: headers, body: String(text[end.upperBound...]))
    }

    private init(status: Int, headers: [String: String], body: String) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The body as a JSON object; see ``jsonObject(in:)``.
    package func json() throws -> [String: Any] { try jsonObject(in: body.utf8) }

    /// Decodes the body from JSON.
    package func json<Value: Decodable>(as type: Value.Type) throws -> Value {
        try Value(json: body.utf8)
    }
}
