import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `An endpoint` {
    @Test(arguments: ["127.0.0.1:4150", "[::1]:4150", ":4150", "nsqd.local:0"])
    func `is an address if the text has a host and a port`(text: String) throws {
        #expect(try Endpoint(parsing: text) == .tcp(SocketAddress(parsing: text)))
    }

    @Test(arguments: ["/run/nsqd.sock", "nsqd.sock", "127.0.0.1", "::1", "a:b:c"])
    func `is a path for any other text`(text: String) throws {
        #expect(try Endpoint(parsing: text) == .unix(path: text))
        #expect(try Endpoint(parsing: text).description == text)
    }

    @Test(arguments: ["", "127.0.0.1:99999", "127.0.0.1:", "unix:///run/nsqd.sock"])
    func `rejects empty text and invalid ports`(text: String) {
        #expect(throws: MalformedAddress(text: text)) { try Endpoint(parsing: text) }
    }
}
