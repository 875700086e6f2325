import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A process of a service manager` {
    private let folder: TemporaryFolder
    private let manager: DatagramReceiver

    init() throws {
        folder = try TemporaryFolder()
        manager = try DatagramReceiver(path: folder.path("notify.sock"))
    }

    private var environment: [String: String] { ["NOTIFY_SOCKET": manager.address] }

    @Test(arguments: ["nsqd", "nsqlookupd", "serve"])
    func `reports that it is ready, and that it stops`(command: String) throws {
        let arguments: [String] =
            switch command {
            case "nsqd": ["--memory-only", "--http-address="]
            case "serve":
                [
                    "--http-address=", "--page-address=none",
                    "--store=\(folder.path("counts.sqlite"))",
                ]
            default: ["--http-address=127.0.0.1:0"]
            }
        let process = try BuiltProcess(
            [command, "--tcp-address=127.0.0.1:0"] + arguments, environment: environment)
        #expect(manager.datagrams(upTo: /READY=1/)?.map(\.text) == ["READY=1"])
        #expect(process.line(containing: "TCP: listening") != nil)
        process.send(SIGTERM)
        #expect(manager.datagrams(upTo: /STOPPING=1/)?.map(\.text) == ["STOPPING=1"])
        #expect(process.status() == 0)
    }

    @Test func `reports its progress in half of the time that the manager waits`() throws {
        let process = try BuiltProcess(
            ["nsqd", "--tcp-address=127.0.0.1:0", "--http-address=", "--memory-only"],
            environment: environment.merging(["WATCHDOG_USEC": "400000"]) { $1 })
        var reports: [Date] = []
        while reports.count < 5 {
            let datagrams = try #require(manager.datagrams(upTo: /WATCHDOG=1/))
            reports.append(datagrams.last!.date)
        }
        #expect(reports.last! >= reports.first! + 0.7)
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    @Test func `reports nothing to the manager of another process`() throws {
        let process = try BuiltProcess(
            ["nsqd", "--tcp-address=127.0.0.1:0", "--http-address=", "--memory-only"],
            environment: environment.merging(["WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"]) { $1 })
        #expect(manager.datagrams(upTo: /READY=1/) != nil)
        process.send(SIGTERM)
        #expect(manager.datagrams(upTo: /STOPPING=1/)?.count == 1)
        #expect(process.status() == 0)
    }

    // MARK: Reload

    @Test func `uses new certificates after SIGHUP, and the former ones if these are damaged`()
        throws
    {
        let certificates = try TestCertificates()
        let files = (folder.path("cert.pem"), folder.path("key.pem"))
        func install(_ identity: TestCertificates.Identity) throws {
            try Data(contentsOf: URL(filePath: identity.certificate)).write(
                to: URL(filePath: files.0))
            try Data(contentsOf: URL(filePath: identity.key)).write(to: URL(filePath: files.1))
        }
        try install(certificates.server)
        let broker = try BuiltProcess(
            [
                "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=", "--memory-only",
                "--https-address=127.0.0.1:0", "--tls-cert=\(files.0)", "--tls-key=\(files.1)",
            ], environment: environment)
        let mark = "HTTPS: listening on "
        let line = try #require(broker.line(containing: mark))
        let address = String(line[try #require(line.range(of: mark)).upperBound...])
        func isTrusted(_ authority: String) throws -> Bool {
            let client = try BuiltProcess(
                [
                    "openssl", "s_client", "-connect", address, "-CAfile", authority,
                    "-verify_return_error",
                ], executable: URL(filePath: "/usr/bin/env"))
            return client.status() == 0
        }
        #expect(try isTrusted(certificates.authority))
        #expect(try !isTrusted(certificates.stranger.certificate))

        try install(certificates.stranger)
        #expect(manager.datagrams(upTo: /READY=1/) != nil)
        broker.send(SIGHUP)
        let reports = try #require(manager.datagrams(upTo: /READY=1/)).map(\.text)
        #expect(reports.count == 2)
        #expect(reports[0].contains(/^RELOADING=1\nMONOTONIC_USEC=[0-9]+$/))
        #expect(try isTrusted(certificates.stranger.certificate))

        try Data("damaged".utf8).write(to: URL(filePath: files.0))
        broker.send(SIGHUP)
        #expect(broker.line(containing: "certificate \(files.0): no start line") != nil)
        #expect(try isTrusted(certificates.stranger.certificate))
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test(arguments: ["nsqd", "serve"])
    func `has the log level of its file after SIGHUP`(command: String) throws {
        let file = URL(filePath: folder.path("tally.toml"))
        try Data(#"log_level = "warn""#.utf8).write(to: file)
        let serve = ["--page-address=none", "--store=\(folder.path("counts.sqlite"))"]
        let process = try BuiltProcess(
            [command, "--config=\(file.path)", "--tcp-address=127.0.0.1:0", "--http-address="]
                + (command == "serve" ? serve : ["--memory-only"]),
            environment: environment)
        #expect(manager.datagrams(upTo: /READY=1/) != nil)
        #expect(process.linesSoFar(of: .standardError).filter { $0.contains("INFO") }.isEmpty)

        try Data(#"log_level = "loud""#.utf8).write(to: file)
        process.send(SIGHUP)
        #expect(process.line(containing: "nothing was changed: failed to load config file") != nil)

        try Data(#"log_level = "info""#.utf8).write(to: file)
        process.send(SIGHUP)
        // The first report belongs to the reload with the invalid level, the second to this reload.
        for _ in 0..<2 { #expect(manager.datagrams(upTo: /READY=1/) != nil) }
        process.send(SIGTERM)
        #expect(process.line(containing: "TCP: closing 127.0.0.1:") != nil)
        #expect(process.status() == 0)
    }

    // MARK: Sockets of the manager

    /// Starts nsqd with listening sockets as a service manager does: `LISTEN_PID` names the process
    /// for which the sockets are.
    private func nsqd(
        passing listeners: [BlockingListener], names: String?, count: Int? = nil,
        _ arguments: [String] = []
    ) throws -> BuiltProcess {
        var environment = environment
        environment["LISTEN_FDS"] = "\(count ?? listeners.count)"
        environment["LISTEN_FDNAMES"] = names
        let words = [BuiltProcess.tally.path, "nsqd", "--memory-only"] + arguments
        return try BuiltProcess(
            ["-c", #"LISTEN_PID=$$ exec "$@""#, "sh"] + words, executable: URL(filePath: "/bin/sh"),
            environment: environment, passing: listeners)
    }

    @Test func `serves on the sockets of the manager, whatever the flags say`() throws {
        let tcp = try BlockingListener()
        let http = try BlockingListener()
        // A connection that arrives before the start is served.
        let early = try BlockingClient(connectingTo: tcp.address)
        let process = try nsqd(
            passing: [http, tcp], names: "http:tcp",
            ["--tcp-address=127.0.0.1:1", "--http-address="])
        #expect(manager.datagrams(upTo: /READY=1/) != nil)
        #expect(try early.ask("IDENTIFY", Array("{}".utf8)) == "OK")
        #expect(try ReceivedResponse(to: "GET", "/ping", at: http.address).body == "OK")
        #expect(
            try ReceivedResponse(to: "GET", "/info", at: http.address).body
                .contains(#""tcp_port":\#(tcp.port)"#))
        process.send(SIGTERM)
        #expect(process.status() == 0)
        // The sockets still belong to the manager, for the next start.
        _ = try BlockingSocket(to: tcp.address)
    }

    @Test func `takes a single socket without a name for the protocol`() throws {
        let tcp = try BlockingListener()
        let process = try nsqd(passing: [tcp], names: nil, ["--http-address="])
        #expect(manager.datagrams(upTo: /READY=1/) != nil)
        #expect(
            try BlockingClient(connectingTo: tcp.address).ask("IDENTIFY", Array("{}".utf8)) == "OK")
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }

    @Test(arguments: [
        ("tcp:admin", 2, "a socket named 'admin'"), ("tcp:tcp", 2, "a socket named 'tcp'"),
        ("tcp", 2, "a socket named ''"), ("tcp:https", 2, "a socket for HTTPS needs --tls-cert"),
        ("tcp:http", 9, "has passed 9 sockets"),
        ("tcp:http:https", 3, "the socket https of the service manager is not a listening"),
    ])
    func `refuses sockets that it cannot use`(names: String, count: Int, reason: String) throws {
        let listeners = [try BlockingListener(), try BlockingListener()]
        let process = try nsqd(
            passing: listeners, names: names, count: count, ["--http-address="])
        #expect(process.status() == 1)
        #expect(process.line(containing: reason) != nil)
    }
}
