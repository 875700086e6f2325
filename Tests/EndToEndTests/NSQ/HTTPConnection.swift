import TestKit

/// A connection to a broker's HTTP address for several requests.
final class HTTPConnection {
    /// The connection ended, or the time limit passed, within a response.
    struct NoResponse: Error { var received: String }

    private let socket: BlockingSocket
    private var input: [UInt8] = []

    init(to daemon: TestDaemon) throws {
        socket = try BlockingSocket(to: daemon.nsqd.httpAddress)
    }

    /// Sends bytes; stops if the peer has closed the connection.
    func send(_ text: String) { socket.send(text) }

    /// Receives a response. Without Content-Length, its body ends with the connection.
    func response() throws -> ReceivedResponse {
        let separator = Array("\r\n\r\n".utf8)
        while input.firstRange(of: separator) == nil {
            guard receive() else {
                throw NoResponse(received: String(decoding: input, as: UTF8.self))
            }
        }
        let end = input.firstRange(of: separator)!.upperBound
        var response = ReceivedResponse(parsing: input[..<end])
        input.removeFirst(end)
        let length = response.headers["content-length"].flatMap { Int($0) }
        let wanted = response.status == 100 ? 0 : length ?? .max
        while input.count < wanted, receive() {}
        let body = input.prefix(wanted)
        input.removeFirst(body.count)
        response.body = String(decoding: body, as: UTF8.self)
        return response
    }

    /// Returns `true` if the connection ends without further bytes.
    func ends() -> Bool {
        socket.isReadable(within: longestWait) && socket.receive(1).isEmpty && input.isEmpty
    }

    /// - Returns: `true` if bytes arrived before the connection ended.
    private func receive() -> Bool {
        let more = socket.receive(atMost: 65_536)
        input += more
        return !more.isEmpty
    }
}
