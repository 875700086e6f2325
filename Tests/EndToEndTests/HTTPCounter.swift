import Foundation
import HTTP
import Testing
import Transport
import UVLoop

/// A client over HTTP or HTTPS, on a thread of its own: it takes every call, or refuses.
final class HTTPCounter: Sendable {
    let address: SocketAddress
    private let thread: LoopThread
    private let memory = Guarded(Memory())
    private let server: LoopBound<(HTTPServer, Service)>

    private struct Memory {
        var status = 204
        var taken: [String] = []
        var refused = 0
    }

    init(
        at wanted: SocketAddress = SocketAddress(host: "127.0.0.1", port: 0),
        as identity: TLSServerOptions? = nil
    ) throws {
        thread = try LoopThread(name: "client")
        let box = Guarded<SocketAddress?>(nil)
        let isThere = DispatchSemaphore(value: 0)
        server = LoopBound(behind: thread.door) { [memory] loop in
            let service = Service { body in
                memory.withLock { memory in
                    if memory.status == 204 {
                        memory.taken.append(body)
                    } else {
                        memory.refused += 1
                    }
                    return memory.status
                }
            }
            let server = HTTPServer(serving: service, on: loop)
            box.withLock {
                let tls = try? identity.map { try TLSContext(server: $0) }
                $0 = try? server.listen(at: .tcp(wanted), tls: tls).tcpAddress
            }
            isThere.signal()
            return (server, service)
        }
        isThere.wait()
        address = try #require(box.withLock { $0 })
    }

    /// The calls that it took.
    var bodies: [String] { memory.withLock { $0.taken } }

    /// How many it did not take.
    var refused: Int { memory.withLock { $0.refused } }

    /// What it answers from now on; 204 takes a call.
    func answer(with status: Int) { memory.withLock { $0.status = status } }

    func stop() {
        thread.door.submit { [server] loop in _ = server.takeOut(on: loop) }
        thread.stop()
        thread.join()
    }
}

private final class Service: HTTPService {
    private let hear: (String) -> Int

    init(_ hear: @escaping (String) -> Int) {
        self.hear = hear
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        .collect(limit: 1 << 20, tooLarge: HTTPResponse(status: 413))
    }

    func answer(_ request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        respond(HTTPResponse(status: hear(String(decoding: request.body, as: UTF8.self))))
    }
}
