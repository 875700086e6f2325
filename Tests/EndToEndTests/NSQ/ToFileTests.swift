import Foundation
import TestKit
import TestTraits
import Testing

/// The files that nsq_to_file writes: our tool, or the original in the folder that `NSQ_TOOLS_FOLDER`
/// names.
@Suite(.blocking) struct `The tool nsq_to_file` {
    private let folder: TemporaryFolder
    private let nsqd: RunningNSQD

    init() throws {
        folder = try TemporaryFolder()
        nsqd = try RunningNSQD()
    }

    private func archive(_ flags: String...) throws -> BuiltProcess {
        try Tool.start(
            "nsq_to_file",
            [
                "--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=plays",
                "--output-dir=\(folder.path("out"))", "--filename-format=<TOPIC><REV>.log",
            ] + flags)
    }

    private func publish(_ command: String, to topic: String = "plays") throws {
        let process = try Tool.start(
            "to_nsq", ["--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=\(topic)"],
            input: command)
        #expect(process.status() == 0)
    }

    private func createChannel() throws {
        for target in [
            "/topic/create?topic=plays", "/channel/create?topic=plays&channel=nsq_to_file",
        ] {
            #expect(try ReceivedResponse(to: "POST", target, at: nsqd.httpAddress).status == 200)
        }
    }

    /// The lines of all files, decompressed, sorted.
    private func lines() throws -> [String] {
        let process = try BuiltProcess(
            [
                "-c", #"cd "$0" 2> /dev/null && for f in *; do gzip -cdf "$f"; done"#,
                folder.path("out"),
            ],
            executable: URL(filePath: "/bin/sh"))
        return process.lines(of: .standardOutput).sorted()
    }

    private func names() -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path("out"))) ?? []).sorted()
    }

    private func stop(_ process: BuiltProcess) {
        process.send(SIGTERM)
        #expect(process.status() == 0, "\(process.lines(of: .standardError))")
    }

    /// Returns `true` if `count` messages of the topic are in flight.
    private func hasInFlight(_ count: Int) throws -> Bool {
        let stats = try ReceivedResponse(
            to: "GET", "/stats?format=json&topic=plays", at: nsqd.httpAddress)
        return stats.body.contains("\"in_flight_count\":\(count),")
    }

    @Test func `writes messages, and finishes them after the sync`() throws {
        try createChannel()
        try publish("seq 100 149")
        let process = try archive("--sync-interval=100ms")
        #expect(try eventually { try lines() == (100...149).map(String.init) })
        #expect(process.line(containing: "records to disk") != nil)
        #expect(try eventually { try hasInFlight(0) })
        stop(process)
        #expect(names() == ["plays.log"])
        #expect(nsqd.stop())
    }

    /// Messages that are not synced yet are in the memory of the process.
    @Test func `has written finished messages when it is killed`() throws {
        try createChannel()
        let process = try archive("--sync-interval=20ms")
        try publish("seq 100 149")
        #expect(
            try eventually {
                let stats = try ReceivedResponse(
                    to: "GET", "/stats?format=json&topic=plays", at: nsqd.httpAddress)
                return stats.body.contains("\"finish_count\":50,")
            })
        process.send(SIGKILL)
        _ = process.status()
        #expect(try lines() == (100...149).map(String.init))
        #expect(nsqd.stop())
    }

    @Test func `syncs what it has received when a signal ends it`() throws {
        try createChannel()
        try publish("seq 100 100")
        let process = try archive("--sync-interval=1h")
        // The first message opens the file, and is synced at once.
        #expect(try eventually { try lines() == ["100"] && hasInFlight(0) })
        try publish("seq 101 150")
        #expect(try eventually { try hasInFlight(50) })
        stop(process)
        #expect(try lines() == (100...150).map(String.init))
        #expect(nsqd.stop())
    }

    @Test func `syncs before the interval if no further message can arrive`() throws {
        try createChannel()
        try publish("seq 100 149")
        let process = try archive("--sync-interval=1h", "--max-in-flight=5")
        #expect(try eventually { try lines().count >= 45 })
        stop(process)
        #expect(try lines() == (100...149).map(String.init))
        #expect(nsqd.stop())
    }

    @Test func `compresses and rotates files`() throws {
        try createChannel()
        try publish("seq 1000 1999")
        let process = try archive(
            "--sync-interval=50ms", "--gzip", "--gzip-level=9", "--rotate-size=1000")
        #expect(try eventually { try lines() == (1000...1999).map(String.init) })
        stop(process)
        #expect(try lines() == (1000...1999).map(String.init))
        #expect(names().count >= 4 && names().first == "plays-000000.log.gz", "\(names())")
        #expect(nsqd.stop())
    }

    @Test(.ours("the original cannot write after it has moved a file"))
    func `finishes its file and opens another one after SIGHUP`() throws {
        try createChannel()
        try publish("echo one")
        let process = try archive("--sync-interval=50ms", "--work-dir=\(folder.path("work"))")
        #expect(process.line(containing: "records to disk") != nil)
        process.send(SIGHUP)
        #expect(try eventually { try lines() == ["one"] })
        try publish("echo two")
        #expect(
            try eventually {
                let path = folder.path("work")
                let open = try FileManager.default.contentsOfDirectory(atPath: path)
                return open == ["plays-000001.log"]
            })
        stop(process)
        #expect(try lines() == ["one", "two"])
        #expect(names() == ["plays-000000.log", "plays-000001.log"])
        #expect(nsqd.stop())
    }

    @Test(
        .ours("the original appends a message to the part of a line that a killed run left"),
        arguments: [[], ["--gzip"]])
    func `loses no message when it is killed under load`(flags: [String]) throws {
        try createChannel()
        let publishing = try Tool.start(
            "to_nsq", ["--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=plays", "--rate=4000"],
            input: "seq 10000 14999")
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<10 {
            let process = try archive(
                "--sync-interval=20ms", "--max-in-flight=100", "--rotate-size=4000",
                flags.first ?? "--gzip=false")
            #expect(process.line(containing: "records to disk") != nil)
            // The random pause lets a kill hit any step between a message's arrival and its FIN.
            usleep(UInt32.random(in: 0..<40_000, using: &generator))
            process.send(SIGKILL)
            _ = process.status()
        }
        #expect(publishing.status() == 0)
        let last = try archive("--sync-interval=20ms", flags.first ?? "--gzip=false")
        let expected = Set((10_000...14_999).map(String.init))
        #expect(try eventually { Set(try lines()).isSuperset(of: expected) })
        stop(last)
        #expect(nsqd.stop())
    }

    @Test func `archives the topics of nsqlookupds that match a pattern`() throws {
        let lookup = try BuiltProcess([
            "nsqlookupd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--broadcast-address=127.0.0.1",
        ])
        func address(_ kind: String) throws -> String {
            let mark = "\(kind): listening on "
            let line = try #require(lookup.line(containing: mark))
            return String(line[line.range(of: mark)!.upperBound...])
        }
        let registered = try RunningNSQD([
            "--lookupd-tcp-address=\(try address("TCP"))", "--broadcast-address=127.0.0.1",
        ])
        for topic in ["play_a", "play_b", "other"] {
            for action in [
                "topic/create?topic=\(topic)", "channel/create?topic=\(topic)&channel=c",
            ] {
                #expect(
                    try ReceivedResponse(to: "POST", "/\(action)", at: registered.httpAddress)
                        .status == 200)
            }
            let published = try ReceivedResponse(
                to: "POST", "/pub?topic=\(topic)", at: registered.httpAddress, body: topic.utf8)
            #expect(published.status == 200)
        }
        let process = try Tool.start(
            "nsq_to_file",
            [
                "--lookupd-http-address=\(try address("HTTP"))", "--topic-pattern=^play_",
                "--topic-refresh=50ms", "--channel=c", "--output-dir=\(folder.path("out"))",
                "--sync-interval=50ms", "--consumer-opt=lookupd_poll_interval,100ms",
            ])
        #expect(try eventually { try lines() == ["play_a", "play_b"] })
        stop(process)
        lookup.send(SIGTERM)
        #expect(lookup.status() == 0)
        #expect(registered.stop())
        #expect(nsqd.stop())
    }

    @Test(arguments: [
        (["--channel="], "--channel is required"),
        (["--gzip-level=0"], "invalid --gzip-level value (0), should be 1-9"),
        (
            ["--lookupd-http-address=b:1"],
            "use --nsqd-tcp-address or --lookupd-http-address not both"
        ),
        (["stray"], "unknown arguments: [stray]"),
    ])
    func `exits with 1 if a flag is wrong`(flags: [String], reason: String) throws {
        let process = try Tool.start(
            "nsq_to_file", ["--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=plays"] + flags)
        #expect(process.status() == 1)
        #expect(process.lines(of: .standardError).last?.contains(reason) == true)
        #expect(nsqd.stop())
    }

    @Test func `exits with 1 if it cannot write, and leaves the messages at nsqd`() throws {
        try createChannel()
        try publish("echo one")
        try Data().write(to: folder.url.appending(component: "out"))
        let process = try archive()
        #expect(process.status() == 1)
        let tail = try Tool.start(
            "nsq_tail",
            [
                "--nsqd-tcp-address=\(nsqd.tcpAddress)", "--topic=plays", "--channel=nsq_to_file",
                "-n=1",
            ])
        #expect(tail.status() == 0)
        #expect(tail.lines(of: .standardOutput) == ["one"])
        #expect(nsqd.stop())
    }
}
