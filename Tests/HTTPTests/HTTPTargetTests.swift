import HTTP
import Testing
import UVLoop

@Suite struct `A request's target` {
    @Test func `is a path and a query that is left as it came`() {
        let target = HTTPTarget("/a%20b/c?x=%20&y")
        #expect(target?.path == "/a b/c")
        #expect(target?.query == "x=%20&y")
        #expect(HTTPTarget("/a")?.query == nil)
        #expect(HTTPTarget("/a?")?.query == "")
        #expect(HTTPTarget("*")?.path == "*")
    }

    @Test func `may have a scheme and a host before it`() {
        #expect(HTTPTarget("http://host:80/a?b")?.path == "/a")
        #expect(HTTPTarget("http://host?b")?.path == "/")
        #expect(HTTPTarget("/a?u=http://b/c")?.query == "u=http://b/c")
    }

    @Test(arguments: ["/%", "/%4", "/%zz", "/a%2"])
    func `has no percent sign without two digits`(text: String) {
        #expect(HTTPTarget(text) == nil)
    }
}

@Suite struct `A query` {
    @Test func `gives the first argument of a name`() {
        let query = HTTPQuery(parsing: "topic=a%23b&topic=c&&d+e=f+g&h&=i")
        #expect(query?["topic"] == "a#b")
        #expect(query?["d e"] == "f g")
        #expect(query?["h"] == "")
        #expect(query?[""] == "i")
        #expect(query?["Topic"] == nil)
        #expect(HTTPQuery(parsing: nil)?["a"] == nil)
    }

    @Test(arguments: ["a=%", "a=%zz", "%4=a", "a;b", "a=b&c=d;e"])
    func `is refused for a bad escape or a semicolon`(text: String) {
        #expect(HTTPQuery(parsing: text) == nil)
    }
}

@Suite struct `A URL` {
    @Test func `names a host, a port and a target`() {
        let url = HTTPURL(parsing: "HTTP://user@host:81/path?a=b#part")
        #expect(url?.address == SocketAddress(host: "host", port: 81))
        #expect(url?.target == "/path?a=b")
        #expect(HTTPURL(parsing: "http://[::1]")?.address == SocketAddress(host: "::1", port: 80))
        #expect(HTTPURL(parsing: "http://host?a")?.target == "/?a")
    }

    @Test(arguments: ["", "host", "https://host/", "http://", "http:///a", "http://host:x/"])
    func `is none without http and a host`(text: String) {
        #expect(HTTPURL(parsing: text) == nil)
    }

    @Test func `takes arguments`() {
        var url = HTTPURL(parsing: "http://host/channels")!
        url.append("topic", "a b#ephemeral")
        url.append("x", "y")
        #expect(url.target == "/channels?topic=a+b%23ephemeral&x=y")
    }
}
