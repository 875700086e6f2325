import Foundation
import TestKit
import TestTraits
import Testing

/// Where messages are stored when no `--data-path` is given.
@Suite(.blocking) struct `Without a data path` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func start(
        _ command: [String], executable: URL = BuiltProcess.tally
    ) throws -> (process: BuiltProcess, address: String) {
        try BuiltProcess.listening(
            command + ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"],
            executable: executable, directory: folder.url)
    }

    private func publish(_ body: String, to address: String) throws {
        let client = try BlockingClient(connectingTo: address)
        #expect(try client.ask("PUB orders", Array(body.utf8)) == "OK")
    }

    private func end(_ broker: BuiltProcess) {
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    private func journals() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
            .filter { $0.hasPrefix("journal.") }
    }

    @Test(arguments: [true, false])
    func `nsqd stores messages in the current folder`(isNamedNSQD: Bool) throws {
        var executable = BuiltProcess.tally
        if isNamedNSQD {
            executable = folder.url.appending(component: "nsqd")
            try FileManager.default.createSymbolicLink(
                at: executable, withDestinationURL: BuiltProcess.tally)
        }
        let command = isNamedNSQD ? [] : ["nsqd"]
        let (first, address) = try start(command, executable: executable)
        #expect(first.line(containing: "messages are stored in \(folder.url.path)") != nil)
        try publish("kept", to: address)
        first.send(SIGKILL)
        #expect(first.status() == -SIGKILL)
        #expect(try journals().count == 1)
        let (second, again) = try start(command, executable: executable)
        let client = try BlockingClient(connectingTo: again)
        _ = try client.ask("SUB orders all")
        try client.send(Array("RDY 1\n".utf8))
        #expect(try client.message(timeout: longestWait)?.body == "kept")
        end(second)
    }

    @Test(arguments: [["nsqd", "--memory-only"], ["serve", "--page-address=none"]])
    func `a broker that stores messages in memory only logs it and writes no journal`(
        command: [String]
    ) throws {
        let (broker, address) = try start(command)
        #expect(broker.line(containing: "messages are stored in memory only") != nil)
        try publish("lost", to: address)
        end(broker)
        #expect(try journals() == [])
    }

    @Test func `--memory-only together with --data-path fails the start`() throws {
        let broker = try BuiltProcess(
            [
                "nsqd", "--memory-only", "--data-path=\(folder.url.path)",
                "--tcp-address=127.0.0.1:0",
            ])
        #expect(broker.status() == 1)
        let line = broker.lines(of: .standardError).last
        #expect(line?.contains("--memory-only and --data-path cannot be combined") == true)
    }
}
