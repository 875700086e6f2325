import Testing

@testable import tally

@Suite struct `A request to a local cluster` {
    @Test(arguments: [
        ("GET", "/nodes", ClusterRequest.list),
        ("GET", "/nodes/", .list),
        ("POST", "/nodes/nsqd-2/stop", .change(.stop, "nsqd-2")),
        ("POST", "/nodes/lookupd-1/restart", .change(.restart, "lookupd-1")),
    ])
    func `is parsed`(method: String, path: String, expected: ClusterRequest) throws {
        #expect(try ClusterRequest(method: method, path: path) == expected)
    }

    @Test(arguments: [
        ("GET", "/", 404), ("GET", "/nodes/nsqd-1", 404), ("POST", "/nodes", 405),
        ("GET", "/nodes/nsqd-1/stop", 405), ("POST", "/nodes/nsqd-1/explode", 404),
        ("POST", "/nodes/nsqd-1/stop/now", 404), ("DELETE", "/nodes", 405),
    ])
    func `is refused with a status`(method: String, path: String, status: Int) {
        let refusal = #expect(throws: ClusterRequest.Refusal.self) {
            try ClusterRequest(method: method, path: path)
        }
        #expect(refusal?.status == status)
    }

    @Test(arguments: [
        ClusterRequest.list, .change(.start, "nsqd-1"), .change(.stop, "lookupd-20"),
    ])
    func `has a path that is parsed to the same request`(request: ClusterRequest) throws {
        let method = request == .list ? "GET" : "POST"
        #expect(try ClusterRequest(method: method, path: request.path) == request)
    }

    @Test(arguments: [
        ("stop nsqd-2", ClusterLine.request(.change(.stop, "nsqd-2"))),
        ("  restart   lookupd-1 ", .request(.change(.restart, "lookupd-1"))),
        ("list", .request(.list)), ("quit", .quit), ("help", .help), ("", .empty), ("  ", .empty),
        ("stop", .unknown("stop")), ("stop a b", .unknown("stop a b")),
        ("explode nsqd-1", .unknown("explode nsqd-1")), ("quit now", .unknown("quit now")),
    ])
    func `can be typed as a line`(line: String, expected: ClusterLine) {
        #expect(ClusterLine(line) == expected)
    }
}

@Suite struct `The nodes of a local cluster` {
    private let nodes = [
        ClusterNode.Description(
            name: "lookupd-1", kind: .nsqlookupd, state: .running, tcpAddress: "127.0.0.1:4160",
            httpAddress: "127.0.0.1:4161"),
        ClusterNode.Description(
            name: "nsqd-1", kind: .nsqd, state: .stopped, tcpAddress: "127.0.0.1:41500",
            httpAddress: "127.0.0.1:41501"),
    ]

    @Test func `are a table`() {
        let lines = ClusterText.table(nodes).split(separator: "\n")
        #expect(lines[0] == "NODE       STATE    TCP ADDRESS      HTTP ADDRESS")
        #expect(lines[2] == "nsqd-1     stopped  127.0.0.1:41500  127.0.0.1:41501")
    }

    @Test func `are the same after JSON`() {
        #expect(ClusterText.nodes(in: ClusterText.json(nodes)) == nodes)
        #expect(ClusterText.nodes(in: Array("{}".utf8)) == nil)
    }
}
