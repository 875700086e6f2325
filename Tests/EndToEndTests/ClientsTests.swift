import Foundation
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

@Suite(.blocking, .serialized) struct `Clients of a processor` {
    /// The clients use standard output, HTTP and a topic. The HTTP client starts later.
    @Test
    func `receive every total, and one that was unreachable receives them in the fewest calls`()
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
        #expect(try eventually { try counted(in: store).plays == plays.count })
        first.send(SIGTERM)
        #expect(first.status() == 0)
        #expect(totals(first.lines(of: .standardOutput)) == expected)
        #expect(
            first.lines(of: .standardError).contains { $0.contains("/counts failed, retrying in") })
        #expect(try counted(in: store).published.values.allSatisfy { $0 == 0 })

        let back = try HTTPCounter(at: away.address)
        let second = try BuiltProcess(arguments)
        #expect(try eventually { try counted(in: store).published == expected })
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
        // A call is not a valid play, so the topic's processor rejects it, which proves its arrival.
        #expect(reader.line(containing: "rejected: the object has no video_id") != nil)
        reader.send(SIGTERM)
        #expect(reader.status() == 0)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    /// The client accepts some calls and then stops. It starts again after a restart of the processor.
    @Test func `receive only the changes after they are reachable again`() throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let store = folder.path("counts.sqlite")
        let client = try HTTPCounter()
        let arguments = [
            "process", "--nsqd-tcp-address=\(address)", "--store=\(store)",
            "--publish-to=http://\(client.address)/counts",
        ]
        let first = try BuiltProcess(arguments)
        try publish((0..<70).map(video), to: address, in: folder)
        let before = (0..<70).reduce(into: [:]) { $0[video($1)] = 1 }
        #expect(try eventually { try counted(in: store).published == before })
        client.stop()
        // Half of the videos get more plays, and some videos are new.
        try publish((0..<35).map(video) + (0..<10).map(video), to: address, in: folder)
        #expect(first.line(containing: "/counts failed, retrying in") != nil)
        try publish((70..<76).map(video), to: address, in: folder)
        #expect(try eventually { try counted(in: store).plays == 121 })
        first.send(SIGTERM)
        #expect(first.status() == 0)
        #expect(try counted(in: store).published.filter { $0.value > 0 } == before)

        let back = try HTTPCounter(at: client.address)
        let second = try BuiltProcess(arguments)
        #expect(try eventually { try counted(in: store).published == counted(in: store).counts })
        second.send(SIGTERM)
        #expect(second.status() == 0)
        // 41 videos changed.
        #expect(back.bodies.count == 3)
        #expect(totals(back.bodies).count == 41)
        // No total is lower than before the client stopped.
        #expect(totals(client.bodies + back.bodies) == (try counted(in: store).counts))
        back.stop()
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test(arguments: ["ftp://127.0.0.1/", "http://", "nsq://127.0.0.1:4150", "nsq://:4150/a b"])
    func `with an invalid --publish-to are refused`(target: String) throws {
        let process = try BuiltProcess([
            "process", "--nsqd-tcp-address=127.0.0.1:1", "--publish-to=\(target)",
        ])
        #expect(process.status() == 64)
    }

    /// Publishes a play of each video with `tally produce`.
    private func publish(
        _ videos: [String], to address: String, in folder: TemporaryFolder
    ) throws {
        let file = folder.path("plays.jsonl")
        try videos.map { #"{"video_id":"\#($0)"}"# }.joined(separator: "\n")
            .write(toFile: file, atomically: false, encoding: .utf8)
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--file=\(file)",
        ])
        #expect(producer.status() == 0)
    }

    private func video(_ index: Int) -> String {
        "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a\(index + 10)"
    }
}

@Suite(.blocking, .serialized) struct `A client over HTTPS` {
    let certificates: TestCertificates
    let folder: TemporaryFolder
    let broker: BuiltProcess
    let address: String

    init() throws {
        certificates = try TestCertificates()
        folder = try TemporaryFolder()
        (broker, address) = try BuiltProcess.broker()
    }

    private func client(at address: SocketAddress? = nil) throws -> HTTPCounter {
        let identity = TLSServerOptions(
            certificateFile: certificates.server.certificate,
            keyFile: certificates.server.key)
        return try HTTPCounter(at: address, as: identity)
    }

    private func processor(
        for client: HTTPCounter, _ more: [String] = [], environment: [String: String] = [:]
    ) throws -> BuiltProcess {
        try BuiltProcess(
            [
                "process", "--nsqd-tcp-address=\(address)", "--store=\(store)",
                "--publish-to=https://\(client.address)/counts", "--publish-to=stdout",
            ] + more, environment: environment)
    }

    private var store: String { folder.path("counts.sqlite") }

    /// Publishes one play of each of 100 videos, and a second one of the first.
    private func play() throws {
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=101", "--videos=100", "--seed=1",
        ])
        #expect(producer.status() == 0)
    }

    private func end(_ processor: BuiltProcess) {
        processor.send(SIGTERM)
        #expect(processor.status() == 0)
    }

    /// The certificate authority is set by the flag, or by OpenSSL's environment variable.
    @Test(arguments: ["--publish-root-ca-file", "SSL_CERT_FILE"])
    func `receives every total if its certificate is trusted`(way: String) throws {
        let client = try client()
        let isFlag = way.hasPrefix("--")
        let processor = try processor(
            for: client, isFlag ? ["\(way)=\(certificates.authority)"] : [],
            environment: isFlag ? [:] : [way: certificates.authority])
        try play()
        #expect(try eventually { try counted(in: store).published.values.reduce(0, +) == 101 })
        end(processor)
        #expect(totals(client.bodies) == (try counted(in: store).counts))
        client.stop()
    }

    @Test func `that answers 500 is retried until it accepts the newest totals`() throws {
        let client = try client()
        client.respond(with: 500)
        let processor = try processor(
            for: client, ["--publish-root-ca-file=\(certificates.authority)"])
        try play()
        #expect(processor.line(containing: "the client rejected the call: status 500") != nil)
        try play()
        #expect(try eventually { try counted(in: store).plays == 202 && client.refused > 1 })
        #expect(client.bodies == [])
        client.respond(with: 204)
        #expect(try eventually { try counted(in: store).published.values.reduce(0, +) == 202 })
        end(processor)
        #expect(totals(client.bodies) == (try counted(in: store).counts))
        // The first call has one video, to test whether the client accepts calls; all others are full.
        #expect(client.bodies.count == (try counted(in: store).counts.count + 19) / 20)
        client.stop()
    }

    /// Counting and the other client continue. When the certificate is trusted, all totals follow.
    @Test
    func `with an untrusted certificate receives nothing, is retried and delays no other client`()
        throws
    {
        let client = try client()
        let first = try processor(for: client)
        try play()
        #expect(try eventually { try counted(in: store).plays == 101 })
        #expect(
            eventually {
                first.linesSoFar(of: .standardError).count { $0.contains("failed, retrying in") }
                    > 1
            })
        let complaint = try #require(first.line(containing: "failed, retrying in"))
        #expect(complaint.contains("certificate"), "\(complaint)")
        let counts = try counted(in: store).counts
        #expect(eventually { totals(first.linesSoFar(of: .standardOutput)) == counts })
        end(first)
        #expect(client.bodies == [] && client.refused == 0)
        let second = try processor(
            for: client, ["--publish-root-ca-file=\(certificates.authority)"])
        #expect(try eventually { try counted(in: store).published == counts })
        end(second)
        #expect(totals(client.bodies) == counts)
        #expect(client.bodies.count == (counts.count + 19) / 20)
        client.stop()
    }
}

/// The last totals in the calls, one call per line. Expects that no total decreases.
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
        guard let call = try? CallJSON(json: line.utf8) else {
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
