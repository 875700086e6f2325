import TestKit
import UVLoop

@testable import LivePage

/// A client of the event stream, like a browser's `EventSource`, that records the last event ID.
final class EventReader {
    struct Event: Equatable {
        var name = ""
        var id = ""
        var data = ""

        func json<Value: Decodable>(as type: Value.Type) throws -> Value {
            try Value(json: data.utf8)
        }
    }

    /// The stream ended, or no event arrived in time.
    struct NoEvent: Error {}

    private let socket: BlockingSocket
    private var bytes: [UInt8] = []
    private(set) var head = ""
    private(set) var lastID = ""

    /// Connects with HTTP/1.0, so that the events are not in chunks.
    convenience init(
        _ page: LivePage, path: String = "/events", after lastID: String? = nil,
        bufferBytes: Int32? = nil
    ) throws {
        try self.init(at: page.address, path: path, after: lastID, bufferBytes: bufferBytes)
    }

    init(
        at address: SocketAddress, path: String, after lastID: String? = nil,
        bufferBytes: Int32? = nil
    ) throws {
        socket = try BlockingSocket(to: address, receiveBufferBytes: bufferBytes)
        socket.send(
            "GET \(path) HTTP/1.0\r\nHost: localhost\r\n"
                + (lastID.map { "Last-Event-ID: \($0)\r\n" } ?? "") + "\r\n")
        if bufferBytes == nil { head = try part(endingWith: "\r\n\r\n") }
    }

    /// Reads the next event and skips comments; returns `nil` at the end of the stream.
    ///
    /// - Throws: `NoEvent` after two minutes with nothing but keep-alive comments.
    func next() throws -> Event? {
        let deadline = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < deadline {
            guard let text = try? part(endingWith: "\n\n") else { return nil }
            let event = Self.event(text)
            if !event.id.isEmpty { lastID = event.id }
            if !event.name.isEmpty { return event }
        }
        throw NoEvent()
    }

    /// Skips events until one has this name and matches.
    func next(_ name: String, where matches: (Event) throws -> Bool = { _ in true }) throws
        -> Event
    {
        while let event = try next() {
            if event.name == name, try matches(event) { return event }
        }
        throw NoEvent()
    }

    private func part(endingWith mark: String) throws -> String {
        let mark = Array(mark.utf8)
        var searched = 0
        while true {
            let found = bytes.dropFirst(max(0, searched - mark.count)).firstRange(of: mark)
            if let found {
                defer { bytes.removeFirst(found.upperBound) }
                return String(decoding: bytes[..<found.lowerBound], as: UTF8.self)
            }
            searched = bytes.count
            let more = socket.receive(atMost: 65_536)
            guard !more.isEmpty else { throw NoEvent() }
            bytes += more
        }
    }

    static func event(_ text: String) -> Event {
        var event = Event()
        for line in text.split(separator: "\n") {
            let sides = line.split(separator: ": ", maxSplits: 1).map(String.init)
            switch sides[0] {
            case "event": event.name = sides[1]
            case "id": event.id = sides[1]
            case "data": event.data += sides[1]
            default: break
            }
        }
        return event
    }
}
