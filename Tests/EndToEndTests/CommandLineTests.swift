import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `An invalid command line` {
    @Test(arguments: [
        (["demo", "--plays=10"], "10 plays cannot cover 100 videos"),
        (["demo", "--no-such-flag"], "--no-such-flag"),
        (["demo", "--nsqd-tcp-address=127.0.0.1:1"], "start one with tally nsqd"),
        (["demo", "--topic=bad topic"], "invalid topic name 'bad topic'"),
        (["demo", "--tcp-address=127.0.0.1:0", "--store=/no/such/folder/x.sqlite"], "folder"),
        (["process"], "--nsqd-tcp-address"),
        (["process", "--nsqd-tcp-address=127.0.0.1:1", "--store=\(unwritable)"], "cannot reach"),
        (
            ["process", "--lookupd-http-address=127.0.0.1:1", "--store=\(unwritable)"],
            "no nsqlookupd responded: 127.0.0.1:1: connection refused"
        ),
        (["produce", "--nsqd-tcp-address=127.0.0.1:1"], "start one with tally nsqd"),
        (["produce", "--nsqd-tcp-address=nonsense"], "nonsense"),
        (["produce", "--nsqd-tcp-address=127.0.0.1:1", "--file=/no/such/file"], "/no/such/file"),
        (
            ["produce", "--nsqd-tcp-address=127.0.0.1:1", "--nsqd-tls-root-ca-file=/no/such.pem"],
            "certificate authorities /no/such.pem: No such file"
        ),
        (
            ["process", "--nsqd-tcp-address=127.0.0.1:1", "--nsqd-tls-key=key.pem"],
            "--nsqd-tls-key requires --nsqd-tls-cert"
        ),
        (
            ["serve", "--tcp-address=127.0.0.1:0", "--auth-http-address=127.0.0.1:1"],
            "--nsqd-auth-secret"
        ),
        (
            ["serve", "--tcp-address=127.0.0.1:0", "--nsqd-tls-cert=x.pem"],
            "--nsqd-tls-cert has no use without --tls-required"
        ),
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
    func `prints an error with a remedy and exits with a status other than 0`(
        arguments: [String], text: String
    ) throws {
        let process = try BuiltProcess(arguments)
        let status = process.status()
        let errors = process.lines(of: .standardError).joined(separator: "\n")
        #expect(status != 0)
        #expect(errors.contains(text), "\(errors)")
        #expect(process.lines(of: .standardOutput).isEmpty)
    }

    private static var unwritable: String {
        NSTemporaryDirectory() + "tally-\(UUID().uuidString).sqlite"
    }

    @Test func `with a port in use prints the address`() throws {
        let (broker, address) = try BuiltProcess.broker()
        for command in ["nsqd", "demo", "serve"] {
            let folder = try TemporaryFolder()
            let second = try BuiltProcess(
                [command, "--tcp-address=\(address)"], directory: folder.url)
            #expect(second.status() == 1, "\(command)")
            let errors = second.lines(of: .standardError).joined(separator: "\n")
            #expect(errors.contains("listen (\(address)) failed - bind: address already in use"))
        }
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }
}

@Suite(.blocking) struct `Help` {
    @Test(arguments: ["demo", "serve", "produce", "process", "bench"])
    func `of every command contains examples`(command: String) throws {
        let process = try BuiltProcess([command, "--help"])
        #expect(process.status() == 0)
        #expect(process.lines(of: .standardOutput).contains { $0.contains("EXAMPLES") })
    }
}

@Suite(.blocking) struct `tally --version` {
    @Test func `prints the version of tally`() throws {
        let process = try BuiltProcess(["--version"])
        #expect(process.status() == 0)
        #expect(
            process.lines(of: .standardOutput) == ["tally 0.1.0", "compatible with nsqd 1.3.0"])
    }
}
