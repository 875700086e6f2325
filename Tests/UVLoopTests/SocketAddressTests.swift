import Testing
import UVLoop

@Suite struct `A socket address` {
    @Test(arguments: [
        ("127.0.0.1:4150", "127.0.0.1", 4150), (":4150", "", 4150), ("[::1]:4150", "::1", 4150),
        ("nsqd.local:0", "nsqd.local", 0),
    ])
    func `is read as people write it, and written the same`(
        text: String, host: String, port: Int
    ) throws {
        let address = try SocketAddress(parsing: text)
        #expect(address == SocketAddress(host: host, port: port))
        #expect(address.description == text)
    }

    @Test(arguments: ["", "localhost", "127.0.0.1:", "127.0.0.1:65536", "h:-1", "::1:4150", "h:x"])
    func `is refused when it has no host and port`(text: String) {
        #expect(throws: MalformedAddress(text: text)) { try SocketAddress(parsing: text) }
    }
}
