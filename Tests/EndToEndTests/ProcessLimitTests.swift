import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A process with too few file descriptors` {
    @Test(arguments: [4, 7, 8, 16, 31])
    func `prints one line and exits with 1`(limit: Int) throws {
        let folder = try TemporaryFolder()
        for command in ["nsqd", "demo", "--version"] {
            let process = try BuiltProcess(
                ["-c", "ulimit -n \(limit); exec \"$0\" \(command)", BuiltProcess.tally.path],
                executable: URL(filePath: "/bin/sh"), directory: folder.url)
            #expect(process.status() == 1)
            #expect(
                process.lines(of: .standardError) == [
                    "Error: at least 32 file descriptors are needed, and the limit is \(limit) "
                        + "(raise it with ulimit -n)"
                ])
        }
    }

    @Test func `starts a broker with the smallest limit`() throws {
        let (broker, address) = try BuiltProcess.listening(
            [
                "-c",
                // The shell inherits descriptors of the test process.
                "for file in /proc/$$/fd/*; do number=${file##*/}; "
                    + "[ $number -gt 2 ] && eval \"exec $number>&-\"; done; "
                    + "ulimit -n 32; exec \"$0\" nsqd --tcp-address=127.0.0.1:0 "
                    + "--http-address=127.0.0.1:0 --memory-only", BuiltProcess.tally.path,
            ], executable: URL(filePath: "/bin/bash"))
        let client = try BlockingClient(connectingTo: address)
        #expect(try client.ask("PUB plays", Array("x".utf8)) == "OK")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

@Suite(.blocking) struct `A command whose output cannot be written` {
    private static let commands = [
        ["--help"], ["--version"], ["nsqd", "--version"], ["help", "demo"], ["doctor", "--help"],
    ]

    private func run(_ words: [String], redirection: String, in folder: URL) throws -> BuiltProcess
    {
        try BuiltProcess(
            ["-c", "\"$0\" \"$@\" \(redirection)", BuiltProcess.tally.path] + words,
            executable: URL(filePath: "/bin/bash"), directory: folder)
    }

    @Test func `fails with the reason on a full disk`() throws {
        let folder = try TemporaryFolder()
        let data = folder.path("messages")
        try FileManager.default.createDirectory(
            atPath: data, withIntermediateDirectories: false)
        let (broker, address) = try BuiltProcess.broker(["--data-path=\(data)"])
        let client = try BlockingClient(connectingTo: address)
        #expect(try client.ask("PUB plays", Array("x".utf8)) == "OK")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
        let demo = try BuiltProcess(
            [
                "demo", "--tcp-address=127.0.0.1:0", "--plays=200", "--videos=20",
                "--store=counts.sqlite",
            ], directory: folder.url)
        _ = demo.status()
        let others = [
            ["doctor", data], ["doctor", data, "--json"], ["doctor", data, "--export=plays"],
            ["doctor", data, "--export-nsqd=\(folder.path("nsqd"))"],
            ["counts", "--store=counts.sqlite"], ["counts", "--store=counts.sqlite", "--json"],
            ["demo", "--json", "--tcp-address=127.0.0.1:0", "--plays=200", "--videos=20"],
        ]
        for words in Self.commands + others {
            let process = try run(words, redirection: ">/dev/full", in: folder.url)
            #expect((process.status() ?? 0) != 0, "\(words)")
            let error = process.lines(of: .standardError).last ?? ""
            #expect(error.contains("cannot write to standard output"), "\(words): \(error)")
            #expect(error.contains("No space left on device"), "\(words): \(error)")
        }
    }

    @Test func `ends without a message if the reader has closed the pipe`() throws {
        let folder = try TemporaryFolder()
        for words in Self.commands {
            // `true` has ended when the command writes.
            let process = try run(words, redirection: "| true", in: folder.url)
            #expect(process.status() == 0, "the status is that of the reader")
            #expect(process.lines(of: .standardError) == [], "\(words)")
        }
    }
}
