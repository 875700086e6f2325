import Foundation
import HTTP
import Testing
import Transport
import UVLoop

/// An HTTP or HTTPS client that counts calls, on a thread of its own.
final class HTTPCounter: Sendable {
    let address: SocketAddress
    /// Keeps the port of the first counter for a second one at the same address.
    private let reservation: PortReservation?
    private let thread: LoopThread
    private let memory = LockedValue(Memory())
    private let server: LoopBound<(HTTPServer, Service)>

    private struct Memory {
        var status = 204
        var taken: [String] = []
        var refused = 0
    }

    init(
        at given: SocketAddress? = nil, as identity: TLSServerOptions? = nil
    ) throws {
        reservation = given == nil ? PortReservation() : nil
        let wanted = given ?? SocketAddress(host: "127.0.0.1", port: reservation?.port ?? 0)
        thread = try LoopThread(name: "client")
        let box = LockedValue<SocketAddress?>(nil)
        let isThere = DispatchSemaphore(value: 0)
        server = LoopBound(creatingOn: thread.mailbox) { [memory] loop in
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

    /// The bodies of the accepted calls.
    var bodies: [String] { memory.withLock { $0.taken } }

    /// The number of refused calls.
    var refused: Int { memory.withLock { $0.refused } }

    /// Sets the status of all later responses; 204 accepts a call.
    func respond(with status: Int) { memory.withLock { $0.status = status } }

    func stop() {
        thread.mailbox.submit { [server] loop in _ = server.removeValue(on: loop) }
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

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        respond(HTTPResponse(status: hear(String(decoding: request.body, as: UTF8.self))))
    }
}
