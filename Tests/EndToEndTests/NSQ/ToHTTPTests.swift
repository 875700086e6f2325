import Foundation
import TestKit
import TestTraits
import Testing

/// The tool nsq_to_http: ours, or the original in the folder that `NSQ_TOOLS_FOLDER` names.
@Suite(.blocking) struct `The tool nsq_to_http` {
    private let nsqd: RunningNSQD

    init() throws {
        nsqd = try RunningNSQD()
        for action in [
            "topic/create?topic=plays", "channel/create?topic=plays&channel=nsq_to_http",
        ] {
            #expect(
                try ReceivedResponse(to: "POST", "/\(action)", at: nsqd.httpAddress).status == 200)
        }
    }

    private func send(_ flags: String...) throws -> BuiltProcess {
        try Tool.start(
            "nsq_to_http", ["--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=plays"] + flags)
    }

    private func publish(_ command: String) throws {
        let process = try Tool.start(
            "to_nsq", ["--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=plays"], input: command)
        #expect(process.status() == 0)
    }

    private func stop(_ process: BuiltProcess) {
        process.send(SIGTERM)
        #expect(process.status() == 0, "\(process.lines(of: .standardError))")
        #expect(nsqd.stop())
    }

    @Test func `posts each message to one of the URLs`() throws {
        let endpoints = try [HTTPCounter(), HTTPCounter()]
        try publish("seq 100 149")
        let process = try send(
            "--mode=round-robin", "--post=http://\(endpoints[0].address)/a",
            "--post=http://\(endpoints[1].address)/b")
        #expect(eventually { endpoints.flatMap(\.bodies).count == 50 })
        #expect(endpoints.flatMap(\.bodies).sorted() == (100...149).map(String.init))
        #expect(endpoints.allSatisfy { $0.bodies.count == 25 })
        stop(process)
        for endpoint in endpoints { endpoint.stop() }
    }

    @Test func `posts each message to every URL in another mode`() throws {
        let endpoints = try [HTTPCounter(), HTTPCounter()]
        try publish("seq 5")
        let process = try send(
            "--mode=all", "--post=http://\(endpoints[0].address)/",
            "--post=http://\(endpoints[1].address)/")
        for endpoint in endpoints {
            #expect(eventually { endpoint.bodies.sorted() == (1...5).map(String.init) })
        }
        stop(process)
        for endpoint in endpoints { endpoint.stop() }
    }

    /// The requests go to the HTTP API of an nsqd, which logs each request that it answers.
    @Test func `puts each message into the URL of a GET`() throws {
        try publish("echo 'a b&c'")
        let process = try send("--get=http://\(nsqd.httpAddress)/ping?x=%s")
        #expect(nsqd.process.line(containing: "GET /ping?x=a+b%26c") != nil)
        stop(process)
    }

    @Test func `sends a message again until it is accepted`() throws {
        let endpoint = try HTTPCounter()
        endpoint.respond(with: 503)
        try publish("echo one")
        let process = try send(
            "--post=http://\(endpoint.address)/", "--consumer-opt=default_requeue_delay,10ms",
            "--consumer-opt=max_backoff_duration,0", "--consumer-opt=max_attempts,0")
        #expect(eventually { endpoint.refused >= 7 })
        endpoint.respond(with: 204)
        #expect(eventually { endpoint.bodies == ["one"] })
        stop(process)
        endpoint.stop()
    }

    @Test func `sends nothing if the sample is empty`() throws {
        let endpoint = try HTTPCounter()
        try publish("seq 5")
        let process = try send("--post=http://\(endpoint.address)/", "--sample=0")
        #expect(
            try eventually {
                let stats = try ReceivedResponse(
                    to: "GET", "/stats?format=json&topic=plays", at: nsqd.httpAddress
                ).body
                return stats.contains(#""depth":0,"backend_depth":0,"in_flight_count":0"#)
            })
        #expect(endpoint.bodies == [])
        stop(process)
        endpoint.stop()
    }

    @Test(arguments: [
        (["--channel="], "--topic and --channel are required"),
        ([], "--get or --post required"), (["--get=http://a/", "--post=http://b/"], "not both"),
        (["--get=http://a/"], "invalid GET address - must be a printf string"),
        (["--post=http://a/", "--sample=2"], "--sample must be between 0.0 and 1.0"),
        (["--post=http://a/", "--header=x"], "--header value format should be 'key=value'"),
        (["--get=http://a/%s", "--content-type=x"], "--content-type only used with --post"),
    ])
    func `exits with 1 if a flag is wrong`(flags: [String], reason: String) throws {
        let process = try Tool.start(
            "nsq_to_http", ["--nsqd-tcp-address=127.0.0.1:1", "--topic=plays"] + flags)
        #expect(process.status() == 1)
        #expect(process.lines(of: .standardError).last?.contains(reason) == true)
        #expect(nsqd.stop())
    }
}
