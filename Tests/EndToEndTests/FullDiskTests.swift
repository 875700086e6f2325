import Foundation
import TestKit
import TestTraits
import Testing

/// A full disk loses no acknowledged message, and the broker recovers without a restart.
@Suite(.blocking, .serialized) struct `A broker with a full disk` {
    private let sockets: TemporaryFolder
    private let body = String(repeating: "x", count: 20_000)

    init() throws { sockets = try TemporaryFolder() }

    /// A running broker and the address of its HTTP API.
    private struct Running {
        let process: BuiltProcess
        let address: String
        let http: String

        func get(_ target: String) throws -> ReceivedResponse {
            try ReceivedResponse(to: "GET", target, at: http)
        }

        func kill() {
            process.send(SIGKILL)
            #expect(process.status() == -SIGKILL)
        }
    }

    private func start(on disk: SmallDisk, _ flags: [String] = []) throws -> Running {
        try start(on: disk.folder) { try disk.listening($0 + flags) }
    }

    /// - Parameter limit: the maximum size of its files, in KiB.
    private func start(on dataPath: URL, filesUpTo limit: Int) throws -> Running {
        // Writes beyond the limit fail with an error if SIGXFSZ is ignored.
        let script = "trap '' XFSZ; ulimit -f \(limit * 2); exec \"$0\" \"$@\""
        return try start(on: dataPath) { words in
            try BuiltProcess.listening(
                ["-c", script, BuiltProcess.tally.path] + words,
                executable: URL(filePath: "/bin/sh"))
        }
    }

    private func start(
        on dataPath: URL, _ begin: ([String]) throws -> (process: BuiltProcess, address: String)
    ) throws -> Running {
        let http = sockets.path("\(UUID().uuidString.prefix(8)).sock")
        let (process, address) = try begin([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=\(http)",
            "--data-path=\(dataPath.path)", "--sync-timeout=100ms",
        ])
        return Running(process: process, address: address, http: http)
    }

    /// Publishes until a message is refused.
    ///
    /// - Returns: the numbers of the acknowledged messages.
    private func fill(_ broker: Running, from first: Int = 0, reason: String) throws -> [Int] {
        let publisher = try BlockingClient(connectingTo: broker.address)
        for number in first..<first + 2_000 {
            let answer = try publisher.ask("PUB plays", Array("\(number) \(body)".utf8))
            guard answer != "OK" else { continue }
            #expect(answer.hasPrefix("E_PUB_FAILED PUB failed cannot "))
            #expect(answer.hasSuffix(": \(reason)"))
            #expect(throws: BlockingClient.Closed.self) { try publisher.ask("PUB plays", [1]) }
            return Array(first..<number)
        }
        Issue.record("it is never full")
        return []
    }

    private func expectUnhealthy(_ broker: Running, _ reason: String) throws {
        let ping = try broker.get("/ping")
        #expect(ping.summary.hasPrefix("500 NOK - cannot ") && ping.body.hasSuffix(reason))
        #expect(try broker.get("/readyz").status == 503)
        #expect(try broker.get("/livez").status == 200)
        #expect(try broker.get("/stats?format=json").body.contains(#""health":"NOK - cannot "#))
    }

    private func becomesHealthy(_ broker: Running) throws -> Bool {
        try eventually { try broker.get("/ping").body == "OK" }
    }

    /// Receives and finishes `count` messages.
    private func consume(_ broker: Running, _ count: Int) throws -> [Int] {
        let consumer = try BlockingClient(connectingTo: broker.address)
        #expect(try consumer.ask("SUB plays count") == "OK")
        try consumer.send(Array("RDY 1\n".utf8))
        var numbers: [Int] = []
        while numbers.count < count, let message = try consumer.message(timeout: longestWait) {
            numbers.append(Int(message.body.prefix { $0 != " " })!)
            try consumer.tell("FIN", message)
        }
        // The answer to a later command proves that the earlier ones are in the journal.
        #expect(try consumer.ask("CLS") == "CLOSE_WAIT")
        return numbers
    }

    @Test(.enabled(if: SmallDisk.isPossible, "mounting a disk needs root"))
    func `refuses publishers, serves consumers and accepts messages again when there is space`()
        throws
    {
        let disk = try SmallDisk(mebibytes: 12)
        try disk.put("filler", mebibytes: 4)
        let full = "No space left on device"
        var broker = try start(on: disk)
        var unfinished = try fill(broker, reason: full)
        #expect(unfinished.count > 20)
        try expectUnhealthy(broker, full)
        let served = try consume(broker, 10)
        #expect(served == Array(unfinished.prefix(10)))
        unfinished.removeFirst(10)
        try expectUnhealthy(broker, full)

        // A restart on the full disk restores all messages. It releases what the last file has
        // reserved, so the new file may have space for further messages.
        broker.kill()
        broker = try start(on: disk)
        unfinished += try fill(broker, from: 5_000, reason: full)

        try disk.remove("filler")
        #expect(try becomesHealthy(broker))
        unfinished += try fill(broker, from: 10_000, reason: full)
        #expect(unfinished.last! > 10_000)
        broker.kill()
        broker = try start(on: disk)
        #expect(try consume(broker, unfinished.count) == unfinished)
        broker.process.send(SIGTERM)
        #expect(broker.process.status() == 0)
    }

    /// Recycled files do not take space from published messages.
    @Test(.enabled(if: SmallDisk.isPossible, "mounting a disk needs root"))
    func `deletes its recycled files`() throws {
        let disk = try SmallDisk(mebibytes: 24)
        let broker = try start(on: disk, ["--max-bytes-per-file=2000000"])
        func spares() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: disk.seen.path).filter {
                $0.hasPrefix("journal.spare.")
            }
        }
        let publisher = try BlockingClient(connectingTo: broker.address)
        func publish(_ numbers: Range<Int>) throws {
            for number in numbers {
                #expect(try publisher.ask("PUB plays", Array("\(number) \(body)".utf8)) == "OK")
            }
        }
        try publish(0..<500)
        #expect(try consume(broker, 500) == Array(0..<500))
        #expect(try eventually { try spares().count > 3 })
        // Another program fills the rest of the disk.
        let left = try FileManager.default.attributesOfFileSystem(forPath: disk.seen.path)
        try disk.put("filler", mebibytes: (left[.systemFreeSize] as? Int ?? 0) >> 20)

        try publish(1_000..<1_200)
        #expect(try spares().isEmpty)
        #expect(try broker.get("/ping").body == "OK")
        broker.kill()
        let next = try start(on: disk)
        #expect(try consume(next, 200) == Array(1_000..<1_200))
        next.kill()
    }

    /// Uses a file size limit instead of a small disk, which needs root to mount.
    @Test func `accepts messages again when the stored ones are finished`() throws {
        let folder = try TemporaryFolder()
        let kibibytes = 6 << 10
        let full = "File too large"
        var broker = try start(on: folder.url, filesUpTo: kibibytes)
        let unfinished = try fill(broker, reason: full)
        #expect(unfinished.count > 20)
        try expectUnhealthy(broker, full)
        broker.kill()
        broker = try start(on: folder.url, filesUpTo: kibibytes)
        #expect(try consume(broker, unfinished.count) == unfinished)
        #expect(try becomesHealthy(broker))
        let publisher = try BlockingClient(connectingTo: broker.address)
        #expect(try publisher.ask("PUB plays", Array("7777 again".utf8)) == "OK")
        broker.kill()
        broker = try start(on: folder.url, filesUpTo: kibibytes)
        #expect(try consume(broker, 1) == [7777])
        broker.kill()
    }
}

@Suite(.blocking) struct `A data path` {
    @Test func `is locked by one broker and unlocked when that is killed`() throws {
        let folder = try TemporaryFolder()
        let (first, _) = try BuiltProcess.broker(["--data-path=\(folder.url.path)"])
        let second = try BuiltProcess([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--data-path=\(folder.url.path)",
        ])
        #expect(second.status() == 1)
        let line = second.lines(of: .standardError).last ?? ""
        #expect(line.contains("FATAL"))
        #expect(line.contains("cannot flock directory \(folder.url.path)"))
        first.send(SIGKILL)
        #expect(first.status() == -SIGKILL)
        let (third, _) = try BuiltProcess.broker(["--data-path=\(folder.url.path)"])
        third.send(SIGTERM)
        #expect(third.status() == 0)
    }

    @Test func `that is not usable fails the start with its path in the error`() throws {
        let folder = try TemporaryFolder()
        try Data().write(to: folder.url.appending(component: "file"))
        for (path, reason) in [
            ("none/none", "No such file or directory"), ("file", "Not a directory"),
        ] {
            let broker = try BuiltProcess([
                "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
                "--data-path=\(folder.path(path))",
            ])
            #expect(broker.status() == 1)
            let line = broker.lines(of: .standardError).last ?? ""
            #expect(line.contains("FATAL"))
            #expect(line.contains("cannot open data-path \(folder.path(path)): \(reason)"))
        }
    }

    /// Root may write everywhere, so the test runs as another user.
    @Test(.enabled(if: UnprivilegedUser.isPossible, "an unprivileged user is needed"))
    func `without write permission fails the start instead of every publish`() throws {
        let folder = try TemporaryFolder()
        #expect(chmod(folder.url.path, 0o555) == 0)
        defer { chmod(folder.url.path, 0o755) }
        let broker = try UnprivilegedUser.process([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--data-path=\(folder.url.path)",
        ])
        #expect(broker.status() == 1)
        let reason = "cannot write in data-path \(folder.url.path): Permission denied"
        #expect(broker.lines(of: .standardError).last?.contains(reason) == true)
    }
}

/// An unprivileged user: the present one, unless that is root.
private enum UnprivilegedUser {
    private static let changer = URL(filePath: "/usr/bin/setpriv")

    static let isPossible: Bool = {
        guard let process = try? process(["nsqd", "--version"]) else { return false }
        return process.status() == 0
    }()

    static func process(_ words: [String]) throws -> BuiltProcess {
        guard geteuid() == 0 else { return try BuiltProcess(words) }
        return try BuiltProcess(
            ["--reuid=65534", "--regid=65534", "--clear-groups", BuiltProcess.tally.path] + words,
            executable: changer)
    }
}
