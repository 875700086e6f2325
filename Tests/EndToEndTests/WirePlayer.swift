import Foundation
import TestKit
import Testing

/// Plays the clients of a conversation over sockets, and compares the answers with the recording.
final class WirePlayer {
    private let conversation: WireConversation
    private let address: String
    private var clients: [String: WireClient] = [:]
    private var met = WireText.Met()

    init(_ conversation: WireConversation, at address: String) {
        self.conversation = conversation
        self.address = address
    }

    /// - Returns: the differences from the recording.
    func play() throws -> [String] {
        for step in conversation.steps {
            // The conversation needs this time, for example for a heartbeat or a timeout.
            if case .wait(let duration) = step.action {
                Thread.sleep(forTimeInterval: duration / .seconds(1))
                continue
            }
            if let difference = try play(step, client: client(named: step.client)) {
                return ["line \(step.line): \(difference)"]
            }
        }
        let left = Set(closings)
        return clients.compactMap { name, client in
            client.rest(closed: left.contains(name)).map { "“\(name)” received \($0)" }
        }
    }

    /// - Returns: the difference from the recording; `nil` if the conversation can continue.
    private func play(_ step: WireConversation.Step, client: WireClient) -> String? {
        switch step.action {
        case .send(let text): client.send(text.bytes(after: met))
        case .sendByteByByte(let text):
            for byte in text.bytes(after: met) { client.send([byte]) }
        case .end: client.end()
        case .expect(let kind, let text):
            guard case .frame(let seen, let data) = client.next(timeout: longestWait) else {
                return "nothing came"
            }
            guard seen == kind.rawValue, text.matches(data, met: &met) else {
                return "type \(seen), \(String(decoding: data, as: UTF8.self))"
            }
        case .expectNothing:
            let seen = client.next(timeout: 0.05)
            return seen == .nothing ? nil : "\(seen)"
        case .expectClose:
            let seen = client.next(timeout: longestWait)
            return seen == .closed ? nil : "\(seen)"
        case .wait: break
        }
        return nil
    }

    private var closings: [String] {
        conversation.steps.filter { $0.action == .expectClose }.map(\.client)
    }

    private func client(named name: String) throws -> WireClient {
        if let client = clients[name] { return client }
        let client = try WireClient(address)
        clients[name] = client
        return client
    }
}

/// One connection, read frame by frame.
final class WireClient {
    enum Seen: Equatable {
        case frame(Int32, [UInt8])
        case closed
        case nothing
    }

    private let descriptor: Int32
    private var input: [UInt8] = []
    private var isClosed = false

    init(_ address: String) throws {
        descriptor = try connectedSocket(to: address)
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close(descriptor) }

    /// Ignores errors: a closed connection shows in the answers.
    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    func end() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Waits at most `timeout` seconds for the next frame.
    func next(timeout: TimeInterval) -> Seen {
        let deadline = Date(timeIntervalSinceNow: timeout)
        while true {
            if let frame = takeFrame() { return frame }
            if isClosed { return .closed }
            guard read(until: deadline) else { return .nothing }
        }
    }

    /// Unexpected received bytes; `nil` if there are none.
    func rest(closed: Bool) -> Seen? {
        let seen = next(timeout: 0.02)
        return seen == (closed ? .closed : .nothing) ? nil : seen
    }

    private func takeFrame() -> Seen? {
        guard input.count >= 8 else { return nil }
        let size = Int(number(at: 0))
        guard input.count >= 4 + size else { return nil }
        defer { input.removeFirst(4 + size) }
        return .frame(number(at: 4), Array(input[8..<4 + size]))
    }

    private func number(at offset: Int) -> Int32 {
        input[offset..<offset + 4].reduce(0) { $0 << 8 | Int32($1) }
    }

    /// - Returns: `true` if bytes arrived in time.
    private func read(until deadline: Date) -> Bool {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let wait = max(0, deadline.timeIntervalSinceNow)
        guard Glibc.poll(&poll, 1, Int32((wait * 1000).rounded(.up))) == 1 else { return false }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        if count > 0 { input += chunk[..<count] } else { isClosed = true }
        return true
    }
}

/// Connects a socket to `host:port` on this machine.
func connectedSocket(to address: String) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = UInt16(address.split(separator: ":").last!)!.bigEndian
    name.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0 else {
        close(descriptor)
        throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .ECONNREFUSED)
    }
    return descriptor
}
