import Foundation
import TestKit
import TestTraits
import Testing

/// The command-line tools of NSQ: ours, or the originals in the folder that `NSQ_TOOLS_FOLDER` names. The
/// nsqd is ours, or that of `NSQD_PROGRAM`.
enum Tool {
    static let folder = ProcessInfo.processInfo.environment["NSQ_TOOLS_FOLDER"]

    /// Starts a tool.
    static func start(_ name: String, _ flags: [String]) throws -> BuiltProcess {
        guard let folder else { return try BuiltProcess([name] + flags) }
        return try BuiltProcess(flags, executable: URL(filePath: "\(folder)/\(name)"))
    }

    /// Starts a tool whose standard input is the output of a shell command.
    static func start(_ name: String, _ flags: [String], input: String) throws -> BuiltProcess {
        let tool = folder.map { ["\($0)/\(name)"] } ?? [BuiltProcess.tally.path, name]
        return try BuiltProcess(
            ["-c", "\(input) | \"$@\"", "sh"] + tool + flags,
            executable: URL(filePath: "/bin/sh"))
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips a test of behaviour that the original tools do not have.
    static func ours(_ original: Comment) -> Self {
        .disabled(if: Tool.folder != nil, original)
    }
}

extension RunningNSQD {
    fileprivate var tcpFlag: String { "--nsqd-tcp-address=\(tcpAddress)" }
    fileprivate var httpFlag: String { "--nsqd-http-address=\(httpAddress)" }

    /// Publishes messages to a topic, one per line of a shell command's output.
    fileprivate func publish(_ command: String, to topic: String = "plays") throws {
        let process = try Tool.start("to_nsq", [tcpFlag, "--topic=\(topic)"], input: command)
        #expect(process.status() == 0, "\(process.lines(of: .standardError))")
    }

    /// Creates a channel, so that it receives the messages that are published before its consumers connect.
    fileprivate func createChannel(_ channel: String, of topic: String = "plays") throws {
        for target in [
            "/topic/create?topic=\(topic)", "/channel/create?topic=\(topic)&channel=\(channel)",
        ] {
            #expect(try ReceivedResponse(to: "POST", target, at: httpAddress).status == 200)
        }
    }

    /// Consumes messages with nsq_tail, sorted.
    fileprivate func tail(_ count: Int, _ flags: String..., topic: String = "plays") throws
        -> [String]
    {
        let process = try Tool.start(
            "nsq_tail", [tcpFlag, "--topic=\(topic)", "--channel=c", "-n=\(count)"] + flags)
        #expect(process.status() == 0, "\(process.lines(of: .standardError))")
        return process.lines(of: .standardOutput).sorted()
    }
}

@Suite(.blocking) struct `The tool to_nsq` {
    @Test func `publishes the lines of its input that are not empty`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("c")
        try nsqd.publish(#"printf 'one\n\ntwo words\nthree\n'"#)
        #expect(try nsqd.tail(3) == ["one", "three", "two words"])
        #expect(nsqd.stop())
    }

    @Test func `splits its input at the delimiter and publishes to each nsqd`() throws {
        let nsqds = try [RunningNSQD(), RunningNSQD()]
        for nsqd in nsqds { try nsqd.createChannel("c") }
        let process = try Tool.start(
            "to_nsq", nsqds.map(\.tcpFlag) + ["--topic=plays", "-delimiter=,"],
            input: "printf 'a,b,c,'")
        #expect(process.status() == 0)
        for nsqd in nsqds {
            #expect(try nsqd.tail(3) == ["a", "b", "c"])
            #expect(nsqd.stop())
        }
    }

    /// The original omits the last byte.
    @Test(.ours("the original truncates a last line without a newline"))
    func `publishes a last line without a newline`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("c")
        try nsqd.publish("printf 'one\\ntwo'")
        #expect(try nsqd.tail(2) == ["one", "two"])
        #expect(nsqd.stop())
    }

    @Test func `publishes an input of many batches without a loss`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("c")
        try nsqd.publish("seq 100000 120000")
        #expect(try nsqd.tail(20_001) == (100_000...120_000).map(String.init))
        #expect(nsqd.stop())
    }

    @Test(arguments: [
        (["--topic=plays"], "--nsqd-tcp-address required"),
        (["--nsqd-tcp-address=127.0.0.1:1"], "--topic required"),
        (["--topic=plays", "--delimiter=ab"], "--delimiter must be a single byte"),
    ])
    func `exits with 1 if a flag is missing or wrong`(flags: [String], reason: String) throws {
        let process = try Tool.start("to_nsq", flags)
        #expect(process.status() == 1)
        #expect(process.lines(of: .standardError).last?.contains(reason) == true)
    }

    @Test func `exits with 1 if a message is not published, and with 2 for an unknown flag`() throws
    {
        let process = try Tool.start(
            "to_nsq", ["--topic=plays", "--nsqd-tcp-address=127.0.0.1:1"], input: "echo a")
        #expect(process.status() == 1)
        #expect(try Tool.start("to_nsq", ["-nope"]).status() == 2)
    }
}

@Suite(.blocking) struct `The tool nsq_tail` {
    @Test func `prints a number of messages and finishes them`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("c")
        try nsqd.publish("seq 5")
        #expect(try nsqd.tail(5, "-print-topic") == (1...5).map { "plays | \($0)" })
        #expect(nsqd.stop())
    }

    /// It depends on chance which of the other messages the original requeues or finishes.
    @Test(.ours("the original ends before it has answered the last message"))
    func `leaves the messages that it does not print`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("c")
        try nsqd.publish("seq 5")
        let first = try nsqd.tail(2, "--max-in-flight=10")
        let rest = try nsqd.tail(3)
        #expect((first + rest).sorted() == (1...5).map(String.init))
        #expect(nsqd.stop())
    }

    @Test func `prints the messages of several topics until a signal`() throws {
        let nsqd = try RunningNSQD()
        for topic in ["a", "b"] { try nsqd.createChannel("c", of: topic) }
        let tail = try Tool.start(
            "nsq_tail", [nsqd.tcpFlag, "--topic=a", "--topic=b", "--channel=c", "-print-topic"])
        try nsqd.publish("echo one", to: "a")
        try nsqd.publish("echo two", to: "b")
        for line in ["a | one", "b | two"] {
            #expect(tail.line(containing: line, of: .standardOutput) == line)
        }
        tail.send(SIGTERM)
        #expect(tail.status() == 0)
        #expect(nsqd.stop())
    }

    @Test(arguments: [
        (["--topic=plays"], "--nsqd-tcp-address or --lookupd-http-address required"),
        (["--nsqd-tcp-address=127.0.0.1:1"], "--topic required"),
        (
            ["--nsqd-tcp-address=a:1", "--lookupd-http-address=b:1", "--topic=plays"],
            "use --nsqd-tcp-address or --lookupd-http-address not both"
        ),
        (["--nsqd-tcp-address=127.0.0.1:1", "--topic=plays"], "127.0.0.1:1"),
        (["--nsqd-tcp-address=127.0.0.1:1", "--topic=a b"], ""),
    ])
    func `exits with 1 if it cannot consume`(flags: [String], reason: String) throws {
        let process = try Tool.start("nsq_tail", flags)
        #expect(process.status() == 1)
        let errors = process.lines(of: .standardError)
        #expect(errors.contains { reason.isEmpty || $0.contains(reason) }, "\(errors)")
    }

    @Test func `prints its version, and exits with 2 for an invalid flag`() throws {
        let version = try Tool.start("nsq_tail", ["-version"])
        #expect(version.status() == 0)
        #expect(version.lines(of: .standardOutput) == ["nsq_tail v1.3.0"])
        for flags in [["-nope"], ["--consumer-opt=nope,1"], ["-n=x"]] {
            #expect(try Tool.start("nsq_tail", flags).status() == 2)
        }
    }
}

@Suite(.blocking) struct `The tool nsq_stat` {
    @Test func `prints the numbers of a channel once for each of the requested samples`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("c")
        try nsqd.publish("seq 7")
        let process = try Tool.start(
            "nsq_stat",
            [nsqd.httpFlag, "--topic=plays", "--channel=c", "--count=2", "--interval=10ms"])
        #expect(process.status() == 0)
        let lines = process.lines(of: .standardOutput)
        #expect(lines.count == 4)
        #expect(lines.first?.hasPrefix("------rate------+") == true)
        let row =
            "      0       0 |       7       7       0     0     0 |       0       0            7       0"
        #expect(lines.dropFirst(2) == [row, row])
        #expect(nsqd.stop())
    }

    @Test func `exits with 1 if the channel is unknown`() throws {
        let nsqd = try RunningNSQD()
        try nsqd.createChannel("other")
        let process = try Tool.start(
            "nsq_stat", [nsqd.httpFlag, "--topic=plays", "--channel=c"])
        #expect(process.status() == 1)
        #expect(
            process.lines(of: .standardError).last?.contains("failed to find channel(c)") == true)
        #expect(nsqd.stop())
    }

    @Test(arguments: [
        (["--topic=plays"], "--topic and --channel are required"),
        (["--topic=a", "--channel=b", "--interval=0s"], "--interval should be positive"),
        (["--topic=a", "--channel=b", "--count=0"], "--count should be positive"),
        (["--topic=a", "--channel=b"], "--nsqd-http-address or --lookupd-http-address required"),
        (
            ["--topic=a", "--channel=b", "--nsqd-http-address=http://x"],
            "--nsqd-http-address error - address should not contain scheme"
        ),
    ])
    func `exits with 1 if a flag is missing or wrong`(flags: [String], reason: String) throws {
        let process = try Tool.start("nsq_stat", flags)
        #expect(process.status() == 1)
        #expect(process.lines(of: .standardError).last?.contains(reason) == true)
    }
}
