import Foundation
import NSQWire
import UVLoop

/// An nsqlookupd whose responses a test controls.
final class FakeLookupd {
    let tcp: BlockingListener
    let http: BlockingListener

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
        else { throw BlockingListener.NobodyCame() }
        let size = connection.socket.receive(4).reduce(0) { $0 << 8 | Int($1) }
        let json = try JSONSerialization.jsonObject(with: Data(connection.socket.receive(size)))
        let httpPort = hasHTTP ? http.address.port : 1
        connection.answer(
            #"{"tcp_port":\#(tcp.address.port),"http_port":\#(httpPort),"#
                + #""version":"1.3.0","broadcast_address":"127.0.0.1","hostname":"h"}"#)
        return (connection, json as? [String: Any] ?? [:])
    }

    /// Accepts the request for the channels of `topic`. Requests for other topics get 404; whether
    /// they are sent depends on when the broker reads the response to IDENTIFY.
    func question(about topic: String) throws -> BlockingSocket {
        while true {
            let question = try http.accept()
            let line = question.receiveRequest().head.first
            if line == "GET /channels?topic=\(topic) HTTP/1.1" { return question }
            question.answer(#"{"message":"TOPIC_NOT_FOUND"}"#, status: 404)
        }
    }
}

struct LookupConnection {
    let socket: BlockingSocket

    func answer(_ text: String) {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(text.utf8.count))
        socket.send(bytes + Array(text.utf8))
    }

    /// Receives the next command and responds `OK`.
    func command() -> String {
        let line = socket.receiveLine()
        answer("OK")
        return line
    }

    func commands(_ count: Int) -> [String] { (0..<count).map { _ in command() } }
}
