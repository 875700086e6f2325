import Foundation
import HTTP
import TestKit
import Testing
import UVLoop

@Suite(.serialized) struct `Clients of a processor` {
    /// One on standard output, one over HTTP, one that reads a topic; the second is not there at
    /// first.
    @Test func `are each told every total, and the one that was away in as few calls as can be`()
        throws
    {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let store = folder.path("counts.sqlite")
        let plays = (0..<50).flatMap { Array(repeating: video($0), count: 1 + $0 % 3) }
        let file = folder.path("plays.jsonl")
        try plays.map { #"{"video_id":"\#($0)"}"# }.joined(separator: "\n")
            .write(toFile: file, atomically: false, encoding: .utf8)
        let expected = plays.reduce(into: [:]) { $0[$1, default: 0] += 1 }

        let away = try HTTPCounter()
        away.stop()
        let arguments = [
            "process", "--nsqd-tcp-address=\(address)", "--store=\(store)", "--publish-to=stdout",
            "--publish-to=http://\(away.address)/counts",
            "--publish-to=nsq://\(address)/told",
        ]
        let first = try BuiltProcess(arguments)
        #expect(first.line(containing: "counting plays") != nil)
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--file=\(file)",
        ])
        #expect(producer.status() == 0)
        #expect(try comesTrue { try counted(in: store).plays == plays.count })
        first.send(SIGTERM)
        #expect(first.status() == 0)
        #expect(totals(first.lines(of: .standardOutput)) == expected)
        #expect(first.lines(of: .standardError).contains { $0.contains("/counts failed, next in") })
        #expect(try counted(in: store).published.values.allSatisfy { $0 == 0 })

        let back = try HTTPCounter(at: away.address)
        let second = try BuiltProcess(arguments)
        #expect(try comesTrue { try counted(in: store).published == expected })
        second.send(SIGTERM)
        #expect(second.status() == 0)
        #expect(second.lines(of: .standardOutput) == [])
        #expect(totals(back.bodies) == expected)
        #expect(back.bodies.count == 3)
        back.stop()

        let reader = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--topic=told",
            "--store=\(folder.path("told.sqlite"))",
        ])
        // A call is no play, so it comes out as rejected, and we see that it was there.
        #expect(reader.line(containing: "rejected: the object has no video_id") != nil)
        reader.send(SIGTERM)
        #expect(reader.status() == 0)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test(arguments: ["ftp://127.0.0.1/", "http://", "nsq://127.0.0.1:4150", "nsq://:4150/a b"])
    func `that cannot be are refused`(target: String) throws {
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=127.0.0.1:1", "--publish-to=\(target)",
        ])
        #expect(process.status() == 64)
    }

    private func video(_ index: Int) -> String {
        "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a\(index + 10)"
    }
}

/// The last totals that calls told, a line each; none may go back.
private func totals(_ calls: [String]) -> [String: Int] {
    struct CallJSON: Decodable {
        struct Video: Decodable {
            var video_id: String
            var play_count: Int
        }
        var videos: [Video]
    }
    var totals: [String: Int] = [:]
    for line in calls {
        guard let call = try? JSONDecoder().decode(CallJSON.self, from: Data(line.utf8)) else {
            Issue.record("no call: \(line)")
            continue
        }
        for video in call.videos {
            #expect(video.play_count > totals[video.video_id, default: 0])
            totals[video.video_id] = video.play_count
        }
    }
    return totals
}

/// A client over HTTP that takes every call.
private final class HTTPCounter: Sendable {
    let address: SocketAddress
    private let thread: LoopThread
    private let heard = Guarded<[String]>([])
    private let server: LoopBound<(HTTPServer, Service)>

    init(at wanted: SocketAddress = SocketAddress(host: "127.0.0.1", port: 0)) throws {
        thread = try LoopThread(name: "client")
        let box = Guarded<SocketAddress?>(nil)
        let isThere = DispatchSemaphore(value: 0)
        server = LoopBound(behind: thread.door) { [heard] loop in
            let service = Service { body in heard.withLock { $0.append(body) } }
            let server = HTTPServer(serving: service, on: loop)
            let address = try? server.listen(at: wanted)
            box.withLock { $0 = address }
            isThere.signal()
            return (server, service)
        }
        isThere.wait()
        address = try #require(box.withLock { $0 })
    }

    var bodies: [String] { heard.withLock { $0 } }

    func stop() {
        thread.door.submit { [server] loop in _ = server.takeOut(on: loop) }
        thread.stop()
        thread.join()
    }
}

private final class Service: HTTPService {
    private let hear: (String) -> Void

    init(_ hear: @escaping (String) -> Void) {
        self.hear = hear
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        .collect(limit: 1 << 20, tooLarge: HTTPResponse(status: 413))
    }

    func answer(_ request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        hear(String(decoding: request.body, as: UTF8.self))
        respond(HTTPResponse(status: 204))
    }
}
