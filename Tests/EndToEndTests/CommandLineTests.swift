import Foundation
import TestKit
import Testing

@Suite struct `A mistake on the command line` {
    @Test(arguments: [
        (["demo", "--plays=10"], "10 plays do not reach 100 videos"),
        (["demo", "--no-such-flag"], "--no-such-flag"),
        (["demo", "--nsqd-tcp-address=127.0.0.1:1"], "start one there"),
        (["demo", "--topic=bad topic"], "not a topic's name"),
        (["demo", "--tcp-address=127.0.0.1:0", "--store=/no/such/folder/x.sqlite"], "folder"),
        (["process"], "--nsqd-tcp-address"),
        (["process", "--nsqd-tcp-address=127.0.0.1:1", "--store=\(unwritable)"], "cannot reach"),
        (["produce", "--nsqd-tcp-address=127.0.0.1:1"], "start one there"),
        (["produce", "--nsqd-tcp-address=nonsense"], "nonsense"),
        (["produce", "--nsqd-tcp-address=127.0.0.1:1", "--file=/no/such/file"], "/no/such/file"),
        (["nsqd", "--tcp-address=127.0.0.1:0", "--max-msg-size=0"], "--max-msg-size"),
        (["nsqd", "--tcp-address=127.0.0.1:0", "--max-deflate-level=10"], "--max-deflate-level"),
        (["nsqd", "--tcp-address=127.0.0.1:0", "--snappy=perhaps"], "-snappy"),
        (["nsqd", "--tcp-address=127.0.0.1:0", "--tls-required"], "--tls-cert"),
        (["nsqd", "--tcp-address=127.0.0.1:0", "--tls-client-auth-policy=require"], "--tls-cert"),
        (["nsqd", "--tcp-address=127.0.0.1:0", "--tls-cert=/no/such/file"], "--tls-key"),
        (
            ["nsqd", "--tcp-address=127.0.0.1:0", "--tls-cert=/no/such.pem", "--tls-key=/no/such"],
            "certificate /no/such.pem: No such file"
        ),
        (["bench", "--nsqd-tcp-address=127.0.0.1:1"], "127.0.0.1:1"),
    ])
    func `is answered by a line that names the remedy, and a status that is not 0`(
        arguments: [String], text: String
    ) throws {
        let process = try BuiltProcess(arguments)
        let status = process.status()
        let said = process.lines(of: .standardError).joined(separator: "\n")
        #expect(status != 0)
        #expect(said.contains(text), "\(said)")
        #expect(process.lines(of: .standardOutput).isEmpty)
    }

    private static var unwritable: String {
        NSTemporaryDirectory() + "tally-\(UUID().uuidString).sqlite"
    }

    @Test func `such as a port in use is told apart by its address`() throws {
        let (broker, address) = try BuiltProcess.broker()
        for command in ["nsqd", "demo", "serve"] {
            let folder = try TemporaryFolder()
            let second = try BuiltProcess(
                [command, "--tcp-address=\(address)"], directory: folder.url)
            #expect(second.status() == 1, "\(command)")
            let said = second.lines(of: .standardError).joined(separator: "\n")
            #expect(said.contains("listen (\(address)) failed - bind: address already in use"))
        }
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }
}

@Suite struct `Help` {
    @Test(arguments: ["demo", "serve", "produce", "process", "bench"])
    func `of every command shows examples`(command: String) throws {
        let process = try BuiltProcess([command, "--help"])
        #expect(process.status() == 0)
        #expect(process.lines(of: .standardOutput).contains { $0.contains("EXAMPLES") })
    }
}
