import HTTP
import UVLoop

/// An nsqlookupd on a thread of its own that reports a list of nsqds for every topic.
final class FakeLookupd: Sendable {
    let address: String
    private let host: LoopHost<Server>

    init(reporting nsqds: [String] = []) async throws {
        let (host, address) = try await LoopHost<Server>.start(threadName: "lookupd") { loop in
            let server = Server(on: loop, nsqds)
            let address = try server.http.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            return (server, address.description)
        }
        self.host = host
        self.address = address
    }

    /// Reports these nsqds from now on; `nil` responds with status 500.
    func report(_ nsqds: [String]?) async { await host.perform { $0.nsqds = nsqds } }

    /// The targets of the requests so far.
    var targets: [String] { get async { await host.perform { $0.targets } ?? [] } }

    func stop() async { await host.stop() }

    final class Server: HTTPService, LoopHosted {
        private(set) lazy var http = HTTPServer(serving: self, on: loop)
        private let loop: Loop
        var nsqds: [String]?
        private(set) var targets: [String] = []

        init(on loop: Loop, _ nsqds: [String]) {
            self.loop = loop
            self.nsqds = nsqds
        }

        func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan { .skip }

        func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
            targets.append(request.target.text)
            guard let nsqds else { return respond(HTTPResponse(status: 500)) }
            guard !nsqds.isEmpty else {
                return respond(
                    HTTPResponse(status: 404, body: Array(#"{"message":"TOPIC_NOT_FOUND"}"#.utf8)))
            }
            let producers = nsqds.map { nsqd in
                let parts = nsqd.split(separator: ":")
                return #"{"broadcast_address":"\#(parts[0])","tcp_port":\#(parts[1])}"#
            }
            let body = #"{"channels":[],"producers":[\#(producers.joined(separator: ","))]}"#
            respond(HTTPResponse(status: 200, body: Array(body.utf8)))
        }

        func stop(_ done: @escaping () -> Void) { http.stop(done) }
    }
}
