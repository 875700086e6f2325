import Foundation
import TestKit
import TestTraits
import Testing

/// The tool nsq_to_nsq: ours, or the original in the folder that `NSQ_TOOLS_FOLDER` names.
@Suite(.blocking) struct `The tool nsq_to_nsq` {
    private let source: RunningNSQD
    private let destinations: [RunningNSQD]

    init() throws {
        source = try RunningNSQD()
        destinations = try [RunningNSQD(), RunningNSQD()]
        for action in ["topic/create?topic=plays", "channel/create?topic=plays&channel=nsq_to_nsq"]
        {
            let answer = try ReceivedResponse(to: "POST", "/\(action)", at: source.httpAddress)
            #expect(answer.status == 200)
        }
    }

    private func forward(_ flags: String...) throws -> BuiltProcess {
        try Tool.start(
            "nsq_to_nsq",
            ["--nsqd-tcp-address=\(source.tcpAddress)", "--topic=plays"]
                + destinations.map { "--destination-nsqd-tcp-address=\($0.tcpAddress)" } + flags)
    }

    private func publish(_ command: String) throws {
        let process = try Tool.start(
            "to_nsq", ["--nsqd-tcp-address=\(source.tcpAddress)", "--topic=plays"], input: command)
        #expect(process.status() == 0)
    }

    /// Consumes copies of all destinations, sorted.
    private func copies(_ count: Int, of topic: String = "plays") throws -> [String] {
        let process = try BuiltProcess(
            ["nsq_tail", "--topic=\(topic)", "--channel=c", "-n=\(count)"]
                + destinations.map { "--nsqd-tcp-address=\($0.tcpAddress)" })
        #expect(process.status() == 0)
        return process.lines(of: .standardOutput).sorted()
    }

    private func stop(_ process: BuiltProcess) {
        process.send(SIGTERM)
        #expect(process.status() == 0, "\(process.lines(of: .standardError))")
        for nsqd in [source] + destinations { #expect(nsqd.stop()) }
    }

    @Test func `copies each message to one of the destinations`() throws {
        try publish("seq 1000 1199")
        let process = try forward("--mode=round-robin", "--destination-topic=copies")
        #expect(try copies(200, of: "copies") == (1000...1199).map(String.init))
        for nsqd in destinations {
            let stats = try ReceivedResponse(to: "GET", "/stats?format=json", at: nsqd.httpAddress)
            #expect(stats.body.contains(#""topic_name":"copies""#))
        }
        stop(process)
    }

    @Test func `passes the messages and fields that the flags select`() throws {
        let bodies = [
            #"{"kind":"play","video":7,"user":"x"}"#, #"{"kind":"stop","video":8}"#,
            #"{"kind":"play","video":9}"#,
        ]
        try publish("printf '%s\\n' " + bodies.map { "'\($0)'" }.joined(separator: " "))
        let process = try forward(
            "--require-json-field=kind", "--require-json-value=play",
            "--whitelist-json-field=video")
        #expect(try copies(2) == [#"{"video":7}"#, #"{"video":9}"#])
        stop(process)
    }

    @Test(.ours("the original gives a message up after five attempts"))
    func `keeps messages at the source until a destination is back`() throws {
        try publish("seq 5")
        let process = try Tool.start(
            "nsq_to_nsq",
            [
                "--nsqd-tcp-address=\(source.tcpAddress)", "--topic=plays",
                "--destination-nsqd-tcp-address=127.0.0.1:1",
                "--producer-opt=dial_timeout,10ms", "--consumer-opt=default_requeue_delay,10ms",
                "--consumer-opt=max_backoff_duration,0",
            ])
        #expect(process.line(containing: "cannot reach nsqd") != nil)
        process.send(SIGTERM)
        #expect(process.status() == 0)
        let again = try forward()
        #expect(try copies(5) == (1...5).map(String.init))
        stop(again)
    }

    @Test(arguments: [
        (["--channel="], "--topic and --channel are required"),
        (["--topic=a b"], "--topic is invalid"), (["--channel=a b"], "--channel is invalid"),
        (["--destination-topic=a b"], "--destination-topic is invalid"),
        (
            ["--lookupd-http-address=b:1"],
            "use --nsqd-tcp-address or --lookupd-http-address not both"
        ),
    ])
    func `exits with 1 if a flag is wrong`(flags: [String], reason: String) throws {
        let process = try Tool.start(
            "nsq_to_nsq",
            [
                "--nsqd-tcp-address=127.0.0.1:1", "--topic=plays",
                "--destination-nsqd-tcp-address=127.0.0.1:1",
            ] + flags)
        #expect(process.status() == 1)
        #expect(process.lines(of: .standardError).last?.contains(reason) == true)
        let missing = try Tool.start(
            "nsq_to_nsq", ["--nsqd-tcp-address=127.0.0.1:1", "--topic=plays"])
        #expect(missing.status() == 1)
    }
}
