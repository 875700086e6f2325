import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A configuration file with secrets in the environment` {
    private let secret = "hidden/s3cret@?"

    @Test func `sets the options of serve and its broker, and no file or log has a secret`() throws
    {
        let folder = try TemporaryFolder()
        let client = try HTTPCounter()
        let file = folder.url.appending(component: "tally.toml")
        let url = "http://tally:${COUNTS_PASSWORD}@\(client.address)/plays?token=${COUNTS_PASSWORD}"
        try Data(
            """
            store = "x"
            publish_to = ["\(url)"]
            page_address = "none"
            freshness = "1s"
            tcp_address = "127.0.0.1:1"
            http_address = ""
            log_level = "debug"
            max_msg_size = 1000
            """.utf8
        ).write(to: file)
        let (serve, address) = try BuiltProcess.listening(
            ["serve", "--config=tally.toml", "--tcp-address=127.0.0.1:0"],
            environment: ["COUNTS_PASSWORD": secret], directory: folder.url)
        let producer = try BuiltProcess(["produce", "--nsqd-tcp-address=\(address)", "--plays=500"])
        #expect(producer.status() == 0)
        #expect(try eventually { try counted(in: folder.path("x")).plays == 500 })
        #expect(eventually { !client.bodies.isEmpty })
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(names.contains("x") && names.contains("x-history"))
        let files = try names.map {
            String(
                decoding: try Data(contentsOf: folder.url.appending(component: $0)), as: UTF8.self)
        }
        let log =
            serve.lines(of: .standardError) + serve.lines(of: .standardOutput)
            + producer.lines(of: .standardError)
        #expect(!(files + log).contains { $0.contains("s3cret") })
    }

    @Test(arguments: [
        ("max_inflight = 1", "max_inflight: unknown key (did you mean max_in_flight?)"),
        ("max_msg_size = true", "max_msg_size = true: not an integer"),
        ("publish_to = ['http://u:${NOT_SET}@127.0.0.1:1/']", "variable NOT_SET is not set"),
        ("store = ", "line 1"),
    ])
    func `ends the start with the file and the key`(text: String, reason: String) throws {
        let folder = try TemporaryFolder()
        try Data(text.utf8).write(to: folder.url.appending(component: "tally.toml"))
        let serve = try BuiltProcess(
            ["serve", "--config", "tally.toml", "--tcp-address=127.0.0.1:0"], directory: folder.url)
        #expect((serve.status() ?? 0) > 0)
        let errors = serve.lines(of: .standardError).joined(separator: "\n")
        #expect(errors.contains("tally.toml") && errors.contains(reason), "\(errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).count == 1)
    }

    @Test func `can be a pipe`() throws {
        let folder = try TemporaryFolder()
        let shell = try BuiltProcess(
            [
                "-c",
                "exec '\(BuiltProcess.tally.path)' serve --page-address=none --store=x "
                    + "--http-address= --config=<(echo 'tcp_address = \"127.0.0.1:0\"')",
            ], executable: URL(filePath: "/bin/bash"), directory: folder.url)
        #expect(shell.line(containing: "TCP: listening on 127.0.0.1:") != nil)
        shell.send(SIGTERM)
        #expect(shell.status() == 0)
    }
}
