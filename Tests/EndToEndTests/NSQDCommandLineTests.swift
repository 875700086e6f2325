import Foundation
import TestKit
import TestTraits
import Testing

/// The command line of our broker, or of the nsqd of `NSQD_PROGRAM`.
@Suite(.blocking) struct `The command line of nsqd` {
    private static let free = ["-tcp-address=127.0.0.1:0", "--http-address", "127.0.0.1:0"]

    /// The working directory, which is nsqd's default data path.
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func nsqd(_ words: [String]) throws -> BuiltProcess {
        try BuiltProcess(
            (RunningNSQD.isForeign ? [] : ["nsqd"]) + words,
            executable: RunningNSQD.named ?? BuiltProcess.tally, directory: folder.url)
    }

    @Test(arguments: [
        (["-nope"], "flag provided but not defined: -nope"),
        (["-max-msg-size=x"], "invalid value \"x\" for flag -max-msg-size: parse error"),
        (["--msg-timeout", "60"], "invalid value \"60\" for flag -msg-timeout: parse error"),
        (["-max-msg-size"], "flag needs an argument: -max-msg-size"),
        (["-snappy=perhaps"], "invalid boolean value \"perhaps\" for -snappy: parse error"),
        (["---x"], "bad flag syntax: ---x"), (["-=x"], "bad flag syntax: -=x"),
    ])
    func `names an unknown flag, explains the usage and exits with 2`(
        words: [String], first: String
    ) throws {
        let process = try nsqd(Self.free + words)
        #expect(process.status() == 2)
        let printed = process.lines(of: .standardError)
        if RunningNSQD.isForeign {
            #expect(printed.first == first)
            #expect(printed.dropFirst().first == "Usage of nsqd:")
        } else {
            // nsqd's usage would scroll the line that helps off the screen.
            #expect(printed.first?.hasPrefix(first) == true)
            #expect(printed.dropFirst() == ["See 'tally nsqd --help'."])
        }
        #expect(process.lines(of: .standardOutput).isEmpty)
    }

    @Test(arguments: ["-h", "--h", "-help", "--help"])
    func `prints the usage for a help flag and exits with 0`(word: String) throws {
        let process = try nsqd([word])
        #expect(process.status() == 0)
        let printed = process.lines(of: .standardError)
        #expect(printed.first == "Usage of nsqd:")
        let flags = printed.filter { $0.wholeMatch(of: #/  -[a-z0-9-]+( [a-z]+)?/#) != nil }
        #expect(flags.count > 50)
        #expect(flags.contains("  -tls-required") && flags.contains("  -max-msg-size int"))
        #expect(process.lines(of: .standardOutput).isEmpty)
    }

    @Test(arguments: [
        (["-max-deflate-level=10"], "instantiate nsqd - --max-deflate-level must be [1,9]"),
        (["-max-deflate-level=0"], "instantiate nsqd - --max-deflate-level must be [1,9]"),
        (["-node-id=1024"], "failed to instantiate nsqd - --node-id must be [0,1024)"),
        (["-node-id=-1"], "failed to instantiate nsqd - --node-id must be [0,1024)"),
        (["-tls-required"], "cannot require TLS client connections without TLS key and cert"),
        (["-tls-client-auth-policy=require"], "cannot require TLS client connections without"),
        (["-tls-root-ca-file=/no/such"], "failed to instantiate nsqd - failed to build "),
        (["-tls-cert=/no/such", "-tls-key=/no/such"], "failed to build TLS config - "),
        (["-tcp-address=127.0.0.1:99999"], "listen (127.0.0.1:99999) failed - "),
        (["-config=/no/such.cfg"], "failed to load config file /no/such.cfg - "),
        (["-e2e-processing-latency-percentile=1.5"], "processing latency percentile: 1.5"),
    ])
    func `exits with 1 and a fatal line for invalid options`(
        words: [String], reason: String
    ) throws {
        let process = try nsqd(["-log-level=error"] + Self.free + words)
        #expect(process.status() == 1)
        let last = process.lines(of: .standardError).last ?? ""
        #expect(last.contains(" FATAL: ") && last.contains(reason), "\(last)")
    }

    @Test func `names an address that is in use`() throws {
        let first = try RunningNSQD()
        for flag in ["tcp", "http"] {
            let second = try nsqd(Self.free + ["-\(flag)-address=\(first.tcpAddress)"])
            #expect(second.status() == 1)
            let last = second.lines(of: .standardError).last ?? ""
            #expect(last.contains("failed to instantiate nsqd - listen (\(first.tcpAddress))"))
            #expect(last.hasSuffix("bind: address already in use"))
        }
        #expect(first.stop())
    }

    @Test(arguments: ["-version", "--version", "-version=true"])
    func `prints the version`(word: String) throws {
        let process = try nsqd(Self.free + [word, "stray"])
        #expect(process.status() == 0)
        let printed = process.lines(of: .standardOutput)
        #expect(printed.count == 1)
        #expect(printed.first?.wholeMatch(of: /nsqd v\d+\.\d+\.\d+.* \(built w\/.*\)/) != nil)
    }

    @Test func `has precedence over the configuration file, and that over the defaults`() throws {
        let file = folder.url.appending(component: "nsqd.cfg")
        try Data("max_rdy_count = 8\nmsg_timeout = \"9s\"\nid = 7\n".utf8).write(to: file)
        let nsqd = try RunningNSQD(["--config=\(file.path)", "--max-rdy-count=9"])
        let daemon = TestDaemon(nsqd)
        for (option, value) in [
            ("max_rdy_count", "9"), ("msg_timeout", "9000000000"), ("id", "7"),
            ("max_msg_timeout", "900000000000"),
        ] {
            #expect(try daemon.request("GET", "/config/\(option)").body == value)
        }
        #expect(nsqd.stop())
    }

    @Test func `can disable HTTP`() throws {
        let process = try nsqd(Self.free + ["-http-address="])
        #expect(process.line(containing: "TCP: listening on ") != nil)
        RunningNSQD.waitUntilSignalsAreHandled()
        process.send(SIGTERM)
        #expect(process.status() == 0)
        #expect(!process.lines(of: .standardError).contains { $0.contains(" HTTP: listening") })
    }

    @Test func `produces log lines with a time and a level`() throws {
        let nsqd = try RunningNSQD(["--log-prefix=[a log] "])
        _ = nsqd.httpAddress
        #expect(nsqd.stop())
        let form = #/\[a log\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} (INFO|ERROR): .*/#
        let printed = nsqd.process.lines(of: .standardError)
        #expect(printed.count >= 4)
        #expect(printed.allSatisfy { $0.wholeMatch(of: form) != nil }, "\(printed)")
    }
}

/// Output that differs from nsqd's.
@Suite(.blocking) struct `tally nsqd` {
    private static let free = [
        "-tcp-address=127.0.0.1:0", "--http-address", "127.0.0.1:0", "-memory-only",
    ]

    @Test(arguments: [["nsqd", "-h"], ["nsqd", "--help"], ["help", "nsqd"]])
    func `prints its usage to standard error and exits with 0`(words: [String]) throws {
        let process = try BuiltProcess(words)
        #expect(process.status() == 0)
        let printed = process.lines(of: .standardError)
        #expect(printed.first == "Usage of nsqd:")
        #expect(printed.contains("Beyond nsqd 1.3.0:"))
        #expect(printed.contains("EXAMPLES"))
        #expect(process.lines(of: .standardOutput).isEmpty)
    }

    @Test(arguments: [
        (["-max-deflate-level=10"], "instantiate nsqd - --max-deflate-level must be [1,9]"),
        (["-node-id=1024"], "failed to instantiate nsqd - --node-id must be [0,1024)"),
        (["-tls-root-ca-file=/no/such"], "failed to build "),
        (["-tls-required"], "cannot require TLS client connections without TLS key and cert"),
        (["-tcp-address=/no/such/d.sock"], "listen (/no/such/d.sock) failed - bind: no such file"),
        (["-tcp-address=127.0.0.1:99999"], "listen (127.0.0.1:99999) failed - "),
        (["-config=/no/such.cfg"], "failed to load config file /no/such.cfg - No such file"),
    ])
    func `exits with 1 and one fatal line for invalid options`(
        words: [String], reason: String
    ) throws {
        let process = try BuiltProcess(["nsqd", "-log-level=error"] + Self.free + words)
        #expect(process.status() == 1)
        let printed = process.lines(of: .standardError)
        #expect(printed.count == 1)
        #expect(printed.first?.contains(" FATAL: ") == true)
        #expect(printed.first?.contains(reason) == true, "\(printed)")
    }

    @Test func `prints its version in nsqd's format`() throws {
        let process = try BuiltProcess(["nsqd", "-version", "stray"])
        #expect(process.status() == 0)
        #expect(process.lines(of: .standardOutput) == ["nsqd v1.3.0 (built w/swift)"])
    }

    @Test func `reads a configuration file, and flags have precedence`() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appending(component: "nsqd.cfg")
        try Data(
            """
            log_prefix = "[file] "
            log_level = "debug"
            tcp_address = "127.0.0.1:1"
            no_such_option = true
            """.utf8
        ).write(to: file)
        let (broker, _) = try BuiltProcess.listening(
            ["nsqd", "--config", file.path, "--log-level=info"] + Self.free)
        #expect(broker.line(containing: "HTTP: listening on 127.0.0.1:") != nil)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
        let printed = broker.lines(of: .standardError)
        #expect(printed.allSatisfy { $0.hasPrefix("[file] ") })
        #expect(printed[0].hasSuffix("WARNING: \(file.path): unknown option no_such_option"))
        #expect(printed[1].hasSuffix("INFO: nsqd v1.3.0 (built w/swift)"))
        #expect(printed[2].contains("INFO: ID: "))
        #expect(printed.last?.hasSuffix("INFO: NSQ: bye") == true)
        let form = #/\[file\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} (INFO|WARNING): .*/#
        #expect(printed.allSatisfy { $0.wholeMatch(of: form) != nil })
    }

    @Test func `logs the ignored arguments after its flags`() throws {
        let (broker, _) = try BuiltProcess.listening(["nsqd"] + Self.free + ["stray", "-nope"])
        broker.send(SIGINT)
        #expect(broker.status() == 0)
        #expect(
            broker.lines(of: .standardError)[0].hasSuffix(
                "ignored arguments after the flags: stray -nope"))
    }

    @Test func `raises its limit of file descriptors to the hard limit`() throws {
        let shell = URL(filePath: "/bin/sh")
        let words = ["-c", "ulimit -Sn 256; exec \"$0\" nsqd \"$@\"", BuiltProcess.tally.path]
        let (broker, _) = try BuiltProcess.listening(words + Self.free, executable: shell)
        let limits = try String(contentsOfFile: "/proc/\(broker.processID)/limits", encoding: .utf8)
        let line = try #require(limits.split(separator: "\n").first { $0.contains("open files") })
        let numbers = line.split(separator: " ").compactMap { Int($0) }
        #expect(numbers.count == 2 && numbers[0] == numbers[1], "\(line)")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

@Suite(.blocking) struct `tally serve` {
    @Test func `accepts the broker's flags`() throws {
        let folder = try TemporaryFolder()
        let path = folder.url.appending(component: "http.sock").path
        let (process, _) = try BuiltProcess.listening(
            [
                "serve", "--topic=likes", "--tcp-address=127.0.0.1:0", "--http-address=\(path)",
                "--max-msg-size=7", "--log-level=info",
            ], directory: folder.url)
        try #require(process.line(containing: "HTTP: listening on \(path)") != nil)
        let size = try ReceivedResponse(to: "GET", "/config/max_msg_size", at: path)
        #expect(size.body == "7")
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    @Test(arguments: [
        (["--no-such-flag"], "-no-such-flag"), (["stray"], "unexpected argument 'stray'"),
        (["--max-msg-size=x"], "-max-msg-size"), (["--topic=a b"], "invalid topic name 'a b'"),
    ])
    func `refuses unknown flags and arguments`(words: [String], text: String) throws {
        let process = try BuiltProcess(["serve", "--tcp-address=127.0.0.1:0"] + words)
        #expect(process.status() != 0)
        #expect(process.lines(of: .standardError).joined().contains(text))
    }
}
