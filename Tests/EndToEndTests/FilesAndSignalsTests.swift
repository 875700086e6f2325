import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `Files and signals of a running broker` {
    @Test func `all files, folders and sockets are accessible to their owner only`() throws {
        let folder = try TemporaryFolder()
        let path = { (name: String) in folder.url.appending(component: name).path }
        try FileManager.default.createDirectory(
            atPath: path("messages"), withIntermediateDirectories: false)
        let tally = try BuiltProcess([
            "serve", "--tcp-address=127.0.0.1:0", "--http-address=\(path("http.sock"))",
            "--data-path=\(path("messages"))", "--store=\(path("counts.sqlite"))",
            "--page-address=none",
        ])
        let mark = "TCP: listening on "
        let line = try #require(tally.line(containing: mark))
        let address = line[try #require(line.range(of: mark)).upperBound...]
        let producer = try BuiltProcess(
            ["produce", "--nsqd-tcp-address=\(address)", "--plays=300"])
        #expect(producer.status() == 0)
        var seen = 0
        for name in try #require(FileManager.default.enumerator(atPath: folder.url.path)) {
            var info = stat()
            let name = try #require(name as? String)
            guard name != "messages", lstat(path(name), &info) == 0 else { continue }
            #expect(info.st_mode & 0o077 == 0, "\(name)")
            seen += 1
        }
        #expect(seen >= 4)
        tally.send(SIGTERM)
        #expect(tally.status() == 0)
    }

    @Test func `signals that nsqd ignores are ignored`() throws {
        let (broker, address) = try BuiltProcess.broker()
        for signal in [SIGUSR1, SIGALRM] { broker.send(signal) }
        let client = try BlockingClient(connectingTo: address)
        #expect(try client.ask("IDENTIFY", Array("{}".utf8)) == "OK")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `a second signal ends a shutdown that waits`() throws {
        let folder = try TemporaryFolder()
        // The kernel accepts connections, and no program answers them.
        let listener = try BlockingListener()
        let (tally, address) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--http-address=", "--page-address=none",
            "--store=\(folder.url.appending(component: "counts.sqlite").path)",
            "--publish-to=http://\(listener.address)/counts",
        ])
        let producer = try BuiltProcess(
            ["produce", "--nsqd-tcp-address=\(address)", "--plays=300"])
        #expect(producer.status() == 0)
        tally.send(SIGTERM)
        #expect(tally.line(containing: "SIGTERM") != nil)
        tally.send(SIGTERM)
        #expect(tally.status() == 128 + SIGTERM)
        #expect(tally.line(containing: "received twice") != nil)
    }
}
