import Foundation
import TestKit
import Testing

/// A disk runs full, as it does sooner or later: nothing that was acknowledged is lost by it, and
/// nobody has to start the broker again.
@Suite(.serialized) struct `A broker whose disk is full` {
    private let sockets: TemporaryFolder
    private let body = String(repeating: "x", count: 20_000)

    init() throws { sockets = try TemporaryFolder() }

    /// A broker at work, and the way to its HTTP API.
    private struct Running {
        let process: BuiltProcess
        let address: String
        let http: String

        func get(_ target: String) throws -> String {
            let client = try LocalClient(http)
            client.send("GET \(target) HTTP/1.0\r\n\r\n")
            return client.receiveAll()
        }

        func kill() {
            process.send(SIGKILL)
            #expect(process.status() == -SIGKILL)
        }
    }

    private func start(on disk: SmallDisk, _ flags: [String] = []) throws -> Running {
        try start(on: disk.folder) { try disk.listening($0 + flags) }
    }

    /// - Parameter limit: the longest file that it may write, in KiB.
    private func start(on dataPath: URL, filesUpTo limit: Int) throws -> Running {
        // Beyond the limit a write fails, as long as the signal that says so is ignored.
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

    /// Publishes until it is refused.
    ///
    /// - Returns: the numbers of what was acknowledged.
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

    private func expectIll(_ broker: Running, _ reason: String) throws {
        let ping = try broker.get("/ping")
        #expect(ping.hasPrefix("HTTP/1.0 500") || ping.hasPrefix("HTTP/1.1 500"))
        #expect(ping.contains("\r\n\r\nNOK - cannot ") && ping.hasSuffix(reason))
        #expect(try broker.get("/stats?format=json").contains(#""health":"NOK - cannot "#))
    }

    private func becomesHealthy(_ broker: Running) throws -> Bool {
        try comesTrue { try broker.get("/ping").hasSuffix("\r\n\r\nOK") }
    }

    /// Receives so many messages, and finishes them.
    private func consume(_ broker: Running, _ count: Int) throws -> [Int] {
        let consumer = try BlockingClient(connectingTo: broker.address)
        #expect(try consumer.ask("SUB plays count") == "OK")
        try consumer.send(Array("RDY 1\n".utf8))
        var numbers: [Int] = []
        while numbers.count < count, let message = try consumer.message(timeout: 20) {
            numbers.append(Int(message.body.prefix { $0 != " " })!)
            try consumer.tell("FIN", message)
        }
        // An answer to what was said later: what was said before is noted by then.
        #expect(try consumer.ask("CLS") == "CLOSE_WAIT")
        return numbers
    }

    @Test(.enabled(if: SmallDisk.isPossible, "it takes the right to mount a disk"))
    func `refuses publishers, serves consumers, and goes on when there is space`() throws {
        let disk = try SmallDisk(mebibytes: 12)
        try disk.put("filler", mebibytes: 4)
        let full = "No space left on device"
        var broker = try start(on: disk)
        var owed = try fill(broker, reason: full)
        #expect(owed.count > 20)
        try expectIll(broker, full)
        let served = try consume(broker, 10)
        #expect(served == Array(owed.prefix(10)))
        owed.removeFirst(10)
        try expectIll(broker, full)

        // It starts on a disk that is full, and has everything.
        broker.kill()
        broker = try start(on: disk)
        let publisher = try BlockingClient(connectingTo: broker.address)
        #expect(try publisher.ask("PUB plays", Array(body.utf8)).hasSuffix(full))

        try disk.remove("filler")
        #expect(try becomesHealthy(broker))
        owed += try fill(broker, from: 10_000, reason: full)
        #expect(owed.last! > 10_000)
        broker.kill()
        broker = try start(on: disk)
        #expect(try consume(broker, owed.count) == owed)
        broker.process.send(SIGTERM)
        #expect(broker.process.status() == 0)
    }

    /// What the broker keeps to make files of is not in the way of what is published.
    @Test(.enabled(if: SmallDisk.isPossible, "it takes the right to mount a disk"))
    func `gives back files that it kept to make others of`() throws {
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
        #expect(try comesTrue { try spares().count > 3 })
        // Others take what room there is beside them.
        let left = try FileManager.default.attributesOfFileSystem(forPath: disk.seen.path)
        try disk.put("filler", mebibytes: (left[.systemFreeSize] as? Int ?? 0) >> 20)

        try publish(1_000..<1_200)
        #expect(try spares().isEmpty)
        #expect(try broker.get("/ping").hasSuffix("\r\n\r\nOK"))
        broker.kill()
        let next = try start(on: disk)
        #expect(try consume(next, 200) == Array(1_000..<1_200))
        next.kill()
    }

    /// Where nobody may mount anything, a bound for files is as good.
    @Test func `takes messages again when those that fill it are finished`() throws {
        let folder = try TemporaryFolder()
        let kibibytes = 6 << 10
        let full = "File too large"
        var broker = try start(on: folder.url, filesUpTo: kibibytes)
        let owed = try fill(broker, reason: full)
        #expect(owed.count > 20)
        try expectIll(broker, full)
        broker.kill()
        broker = try start(on: folder.url, filesUpTo: kibibytes)
        #expect(try consume(broker, owed.count) == owed)
        #expect(try becomesHealthy(broker))
        let publisher = try BlockingClient(connectingTo: broker.address)
        #expect(try publisher.ask("PUB plays", Array("7777 again".utf8)) == "OK")
        broker.kill()
        broker = try start(on: folder.url, filesUpTo: kibibytes)
        #expect(try consume(broker, 1) == [7777])
        broker.kill()
    }
}

@Suite struct `A data path` {
    @Test func `is one broker's, and is free when that is killed`() throws {
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

    @Test func `that cannot be one ends the start with a word on it`() throws {
        let folder = try TemporaryFolder()
        try Data().write(to: folder.url.appending(component: "file"))
        for (path, reason) in [("none", "No such file or directory"), ("file", "Not a directory")] {
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

    /// Root may write anywhere: it takes somebody else then.
    @Test(.enabled(if: Nobody.isPossible, "it takes somebody who may not write everywhere"))
    func `that nothing can be written in ends the start, and not every publish`() throws {
        let folder = try TemporaryFolder()
        #expect(chmod(folder.url.path, 0o555) == 0)
        defer { chmod(folder.url.path, 0o755) }
        let broker = try Nobody.process([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--data-path=\(folder.url.path)",
        ])
        #expect(broker.status() == 1)
        let reason = "cannot write in data-path \(folder.url.path): Permission denied"
        #expect(broker.lines(of: .standardError).last?.contains(reason) == true)
    }
}

/// A user with no rights: whoever runs the tests, unless that is root.
private enum Nobody {
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
