import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking, .serialized) struct `tally produce` {
    private let folder: TemporaryFolder
    private let store: String
    private let serve: BuiltProcess
    private let address: String

    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("counts.sqlite")
        (serve, address) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--page-address=none", "--store=\(store)",
        ])
    }

    @Test func `publishes the lines of standard input while the input pauses`() throws {
        let input = try NamedPipe(folder.path("input"))
        let producer = try produce(from: input)
        try input.write("\(play)\n\(play)\n\(play.prefix(20))")
        #expect(try eventually { try counted(in: store).plays == 2 })
        try input.write("\(play.dropFirst(20))\n")
        #expect(try eventually { try counted(in: store).plays == 3 })
        try input.write(play)
        input.close()
        #expect(producer.status() == 0)
        #expect(producer.line(containing: "published 4 plays", of: .standardOutput) != nil)
        #expect(try eventually { try counted(in: store).plays == 4 })
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
    }

    /// The producer is stopped at a random place of the input. The lines that it has read are
    /// published, and the others are still in the pipe.
    @Test(arguments: [SIGTERM, SIGINT])
    func `publishes what it has read when it is stopped`(signal: Int32) throws {
        let input = try NamedPipe(folder.path("input"))
        let producer = try produce(from: input, ["--rate=500"])
        var written = 0
        for count in [1, 10, 100, 600] {
            try input.write(String(repeating: play + "\n", count: count))
            written += count
            #expect(try eventually { try counted(in: store).plays > 0 })
        }
        try input.write(String(play.prefix(10)))
        producer.send(signal)
        #expect(producer.status() == 0)
        let unread = try input.readRest()
        let published = written - unread.filter { $0 == "\n" }.count
        #expect(
            producer.line(
                containing: "published \(published) play", of: .standardOutput) != nil)
        #expect(try eventually { try counted(in: store).plays == published })
        let errors = producer.lines(of: .standardError)
        #expect(errors.contains { $0.contains("not published: 10 bytes") } == unread.isEmpty)
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
    }

    @Test func `prints the run ID when it is interrupted, and continues with it`() throws {
        let arguments = ["produce", "--nsqd-tcp-address=\(address)", "--plays=5000"]
        let first = try BuiltProcess(arguments + ["--rate=20"])
        #expect(try eventually { try counted(in: store).plays > 0 })
        first.send(SIGINT)
        #expect(first.status() == 128 + SIGINT)
        let line = try #require(first.line(containing: "SIGINT"))
        let flag = try #require(line.split(separator: " ").first { $0.hasPrefix("--run-id=") })
        #expect(first.line(containing: String(flag), of: .standardOutput) != nil)
        let second = try BuiltProcess(arguments + [String(flag)])
        #expect(second.status() == 0)
        #expect(try eventually { try counted(in: store).plays == 5000 })
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
        #expect(serve.line(containing: "counted 5000 plays") != nil)
    }

    private let play = #"{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"}"#

    private func produce(
        from input: NamedPipe, _ arguments: [String] = []
    ) throws -> BuiltProcess {
        let words = ["produce", "--nsqd-tcp-address=\(address)", "--file=-"] + arguments
        return try BuiltProcess(
            ["-c", "exec \"$@\" <\"$0\"", input.path, BuiltProcess.tally.path] + words,
            executable: URL(filePath: "/bin/sh"))
    }
}
