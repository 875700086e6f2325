import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A socket address` {
    @Test(arguments: [
        ("127.0.0.1:4150", "127.0.0.1", 4150), (":4150", "", 4150), ("[::1]:4150", "::1", 4150),
        ("nsqd.local:0", "nsqd.local", 0),
    ])
    func `is parsed from text, and formatted as the same text`(
        text: String, host: String, port: Int
    ) throws {
        let address = try SocketAddress(parsing: text)
        #expect(address == SocketAddress(host: host, port: port))
        #expect(address.description == text)
    }

    @Test(arguments: [("127.0.0.1:http", 80), ("127.0.0.1:https", 443)])
    func `may name a service instead of a port, as in Go`(text: String, port: Int) throws {
        let address = try SocketAddress(parsing: text)
        #expect(address == SocketAddress(host: "127.0.0.1", port: port))
    }

    @Test(arguments: ["", "localhost", "127.0.0.1:", "127.0.0.1:65536", "h:-1", "::1:4150", "h:x"])
    func `rejects text without a host and a port`(text: String) {
        #expect(throws: MalformedAddress(text: text)) { try SocketAddress(parsing: text) }
    }
}
