import NSQWire
import TestKit

/// An nsqlookupd whose responses a test controls.
final class FakeLookupd {
    let tcp: BlockingListener
    let http: BlockingListener

    struct UnexpectedCommand: Error {}

    init() throws {
        tcp = try BlockingListener()
        http = try BlockingListener()
    }

    /// Accepts a broker's connection and responds to its IDENTIFY.
    ///
    /// - Parameter hasHTTP: `true` if the broker can request channels; nsqd waits for the response.
    func greet(
        hasHTTP: Bool = true
    ) throws -> (connection: LookupConnection, identity: [String: Any]) {
        let connection = LookupConnection(socket: try tcp.accept())
        guard connection.socket.receive(4) == Array("  V1".utf8),
            connection.socket.receiveLine() == "IDENTIFY"
        else { throw UnexpectedCommand() }
        let size = connection.socket.receive(4).reduce(0) { $0 << 8 | Int($1) }
        let identity = try jsonObject(in: connection.socket.receive(size))
        let httpPort = hasHTTP ? http.port : 1
        connection.respond(
            #"{"tcp_port":\#(tcp.port),"http_port":\#(httpPort),"#
                + #""version":"1.3.0","broadcast_address":"127.0.0.1","hostname":"h"}"#)
        return (connection, identity)
    }

    /// Accepts the request for the channels of `topic`. Requests for other topics get 404; whether
    /// they are sent depends on when the broker reads the response to IDENTIFY.
    func request(forChannelsOf topic: String) throws -> BlockingSocket {
        while true {
            let request = try http.accept()
            let line = request.receiveRequest().head.first
            if line == "GET /channels?topic=\(topic) HTTP/1.1" { return request }
            request.respond(#"{"message":"TOPIC_NOT_FOUND"}"#, status: 404)
        }
    }
}

struct LookupConnection {
    let socket: BlockingSocket

    func respond(_ text: String) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(text.utf8.count))
        socket.send(bytes + Array(text.utf8))
    }

    /// Receives the next command and responds `OK`.
    func command() -> String {
        let line = socket.receiveLine()
        respond("OK")
        return line
    }

    func commands(_ count: Int) -> [String] { (0..<count).map { _ in command() } }
}
