import HTTP
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A request's target` {
    @Test func `has a decoded path and a raw query`() {
        let target = HTTPTarget("/a%20b/c?x=%20&y")
        #expect(target?.path == "/a b/c")
        #expect(target?.query == "x=%20&y")
        #expect(HTTPTarget("/a")?.query == nil)
        #expect(HTTPTarget("/a?")?.query == "")
        #expect(HTTPTarget("*")?.path == "*")
    }

    @Test func `can contain a scheme and a host`() {
        #expect(HTTPTarget("http://host:80/a?b")?.path == "/a")
        #expect(HTTPTarget("http://host?b")?.path == "/")
        #expect(HTTPTarget("/a?u=http://b/c")?.query == "u=http://b/c")
    }

    @Test(arguments: ["/%", "/%4", "/%zz", "/a%2"])
    func `is invalid with an incomplete percent escape`(text: String) {
        #expect(HTTPTarget(text) == nil)
    }
}

@Suite(.blocking) struct `A query` {
    @Test func `returns the first argument with a name`() {
        let query = HTTPQuery(parsing: "topic=a%23b&topic=c&&d+e=f+g&h&=i")
        #expect(query?["topic"] == "a#b")
        #expect(query?["d e"] == "f g")
        #expect(query?["h"] == "")
        #expect(query?[""] == "i")
        #expect(query?["Topic"] == nil)
        #expect(HTTPQuery(parsing: nil)?["a"] == nil)
    }

    @Test(arguments: ["a=%", "a=%zz", "%4=a", "a;b", "a=b&c=d;e"])
    func `is invalid with a bad escape or a semicolon`(text: String) {
        #expect(HTTPQuery(parsing: text) == nil)
    }
}

@Suite(.blocking) struct `A URL` {
    @Test func `has a host, a port and a target`() {
        let url = HTTPURL(parsing: "HTTP://user@host:81/path?a=b#part")
        #expect(url?.address == SocketAddress(host: "host", port: 81))
        #expect(url?.target == "/path?a=b")
        #expect(HTTPURL(parsing: "http://[::1]")?.address == SocketAddress(host: "::1", port: 80))
        #expect(HTTPURL(parsing: "http://host?a")?.target == "/?a")
    }

    @Test(arguments: ["", "host", "https://host/", "http://", "http:///a", "http://host:x/"])
    func `is invalid without a scheme and a host`(text: String) {
        #expect(HTTPURL(parsing: text) == nil)
    }

    @Test func `encodes appended arguments`() {
        var url = HTTPURL(parsing: "http://host/channels")!
        url.append("topic", "a b#ephemeral")
        url.append("x", "y")
        #expect(url.target == "/channels?topic=a+b%23ephemeral&x=y")
    }
}
