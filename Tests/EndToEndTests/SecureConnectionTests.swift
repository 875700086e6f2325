import Foundation
import TestKit
import Testing

@Suite struct `The commands over TLS with AUTH` {
    private let certificates: TestCertificates
    /// Grants everything to every secret.
    private let authorization: AnsweringServer

    init() throws {
        certificates = try TestCertificates()
        authorization = try AnsweringServer(
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
