import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The commands over TLS with AUTH` {
    private let certificates: TestCertificates
    /// An authorization server that grants all permissions for every secret.
    private let authorization: FixedResponseServer

    init() throws {
        certificates = try TestCertificates()
        authorization = try FixedResponseServer(
            #"{"ttl":60,"authorizations":[{"topic":".*","channels":[".*"],"#
                + #""permissions":["publish","subscribe"]}]}"#)
    }

    private var brokerFlags: [String] {
        [
            "--https-address=127.0.0.1:0", "--tls-required",
            "--tls-cert=\(certificates.server.certificate)", "--tls-key=\(certificates.server.key)",
            "--tls-root-ca-file=\(certificates.authority)",
            "--tls-client-auth-policy=require-verify",
            "--auth-http-address=\(authorization.address)",
        ]
    }

    private var clientFlags: [String] {
        [
            "--nsqd-tls-root-ca-file=\(certificates.authority)",
            "--nsqd-tls-cert=\(certificates.client.certificate)",
            "--nsqd-tls-key=\(certificates.client.key)", "--nsqd-auth-secret=secret",
            "--nsqd-compression=snappy",
        ]
    }

    @Test func `process counts the plays that produce publishes`() throws {
        let (broker, address) = try BuiltProcess.broker(brokerFlags)
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let connection = ["--nsqd-tcp-address=\(address)"] + clientFlags
        let processor = try BuiltProcess(["process", "--store=\(store)"] + connection)
        let producer = try BuiltProcess(["produce", "--plays=500"] + connection)
        #expect(producer.status() == 0, "\(producer.lines(of: .standardError))")
        #expect(try eventually { try counted(in: store).plays == 500 })
        processor.send(SIGTERM)
        #expect(processor.status() == 0, "\(processor.lines(of: .standardError))")

        let demo = try BuiltProcess(["demo", "--plays=2000", "--topic=demo"] + connection)
        #expect(demo.status() == 0, "\(demo.lines(of: .standardError))")

        let plain = try BuiltProcess(["produce", "--nsqd-tcp-address=\(address)", "--plays=500"])
        #expect(plain.status() != 0)
        #expect(plain.line(containing: "requires AUTH") != nil)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `jobs work performs the jobs that it publishes itself`() throws {
        let (broker, address) = try BuiltProcess.broker(brokerFlags)
        let jobs = try JobsFolder()
        try jobs.run("enqueue", "a", "--args=[1]")
        let worker = try jobs.start(
            ["work", "--nsqd-tcp-address=\(address)", "--until-empty"] + clientFlags
                + ["--", "cat"])
        #expect(worker.status() == 0, "\(worker.lines(of: .standardError))")
        #expect(worker.lines(of: .standardOutput) == ["[1]"])
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `the secret can be an environment variable`() throws {
        let (broker, address) = try BuiltProcess.broker(brokerFlags)
        let variable = "TALLY_NSQD_AUTH_SECRET"
        let connection =
            ["--nsqd-tcp-address=\(address)"] + clientFlags.filter { !$0.contains("secret") }
        for command in ["produce", "demo"] {
            let words = [command, "--plays=500", "--topic=\(command)"] + connection
            let client = try BuiltProcess(words, environment: [variable: "secret"])
            #expect(client.status() == 0, "\(client.lines(of: .standardError))")
        }
        // An nsqd without AUTH does not need the secret.
        let (open, openAddress) = try BuiltProcess.broker()
        let client = try BuiltProcess(
            ["produce", "--plays=500", "--nsqd-tcp-address=\(openAddress)"],
            environment: [variable: "secret"])
        #expect(client.status() == 0)
        for process in [broker, open] {
            process.send(SIGTERM)
            #expect(process.status() == 0)
        }
    }

    @Test func `serve presents a client certificate of its own`() throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        // The broker's own certificate is not signed by the authority of the clients.
        let flags =
            brokerFlags.filter { !$0.contains("cert=") && !$0.contains("key=") } + [
                "--tls-cert=\(certificates.stranger.certificate)",
                "--tls-key=\(certificates.stranger.key)",
                "--nsqd-tls-cert=\(certificates.client.certificate)",
                "--nsqd-tls-key=\(certificates.client.key)",
            ]
        let (serve, address) = try BuiltProcess.listening(
            [
                "serve", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
                "--store=\(store)", "--page-address=none",
            ] + flags, environment: ["TALLY_NSQD_AUTH_SECRET": "secret"])
        let producer = try BuiltProcess(
            ["produce", "--nsqd-tcp-address=\(address)", "--plays=500"]
                + clientFlags.filter { !$0.contains("root-ca") }
                + ["--nsqd-tls-insecure-skip-verify"])
        #expect(producer.status() == 0, "\(producer.lines(of: .standardError))")
        #expect(try eventually { try counted(in: store).plays == 500 })
        serve.send(SIGTERM)
        #expect(serve.status() == 0, "\(serve.lines(of: .standardError))")
    }

    @Test func `serve counts over its own broker's TLS and AUTH`() throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let (serve, address) = try BuiltProcess.listening(
            [
                "serve", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--memory-only",
                "--store=\(store)", "--nsqd-auth-secret=secret",
            ] + brokerFlags)
        let producer = try BuiltProcess(
            ["produce", "--nsqd-tcp-address=\(address)", "--plays=500"] + clientFlags)
        #expect(producer.status() == 0, "\(producer.lines(of: .standardError))")
        #expect(try eventually { try counted(in: store).plays == 500 })
        serve.send(SIGTERM)
        #expect(serve.status() == 0, "\(serve.lines(of: .standardError))")
    }
}
