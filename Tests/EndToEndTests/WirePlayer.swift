import Foundation
import TestKit
import Testing

/// Plays the clients of a conversation over sockets, and compares the frames with the recording.
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
            // Sleeps, because there is nothing to observe: in this time the broker must do nothing, or
            // something that no frame shows, such as a timeout.
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

    private let socket: BlockingSocket
    private var input: [UInt8] = []
    private var isClosed = false

    init(_ address: String) throws {
        socket = try BlockingSocket(to: address)
    }

    /// Sends bytes. It ignores errors, because the next frame shows a closed connection.
    func send(_ bytes: [UInt8]) { socket.send(bytes) }

    func end() { socket.end() }

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
        guard socket.isReadable(within: deadline.timeIntervalSinceNow) else { return false }
        let more = socket.receive(atMost: 65_536)
        if more.isEmpty { isClosed = true } else { input += more }
        return true
    }
}
