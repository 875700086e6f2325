import Foundation
import TestKit
import Testing

/// A raw connection to a broker's HTTP address.
final class HTTPConnection {
    struct Answer {
        var status: Int
        /// The header lines, in lower case.
        var headers: [String]
        var body: String
    }

    struct NoAnswer: Error { var received: String }

    private let descriptor: Int32
    private var input: [UInt8] = []
    private var isClosed = false

    init(to daemon: TestDaemon) throws {
        descriptor = try connectedSocket(to: daemon.nsqd.httpAddress)
    }

    deinit { close(descriptor) }

    /// Sends bytes; stops if the peer has closed the connection.
    func send(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Reads a response. Without Content-Length, its body ends with the connection.
    func answer() throws -> Answer {
        let separator = Array("\r\n\r\n".utf8)
        while input.firstRange(of: separator) == nil {
            guard read() else {
                throw NoAnswer(received: String(decoding: input, as: UTF8.self))
            }
        }
        let end = try #require(input.firstRange(of: separator))
        let lines = String(decoding: input[..<end.lowerBound], as: UTF8.self).components(
            separatedBy: "\r\n")
        input.removeFirst(end.upperBound)
        let headers = lines.dropFirst().map { $0.lowercased() }
        let status = Int(lines[0].split(separator: " ")[1]) ?? 0
        let mark = "content-length: "
        let length = headers.first { $0.hasPrefix(mark) }.flatMap { Int($0.dropFirst(mark.count)) }
        let wanted = status == 100 ? 0 : length ?? .max
        while input.count < wanted, read() {}
        let body = input.prefix(wanted)
        input.removeFirst(body.count)
        return Answer(
            status: status, headers: headers, body: String(decoding: body, as: UTF8.self))
    }

    /// Returns `true` if the connection ends without further bytes.
    func ends() -> Bool {
        while read() {}
        return isClosed && input.isEmpty
    }

    /// - Returns: `true` if bytes arrived.
    private func read() -> Bool {
        var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard !isClosed, poll(&state, 1, Int32(longestWait * 1000)) == 1 else { return false }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else {
            isClosed = true
            return false
        }
        input += chunk[..<count]
        return true
    }
}
