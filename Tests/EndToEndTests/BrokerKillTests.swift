import Foundation
import NSQWire
import TestKit
import Testing

/// The broker is killed at any moment while messages flow, and started again on its data path.
///
/// `TALLY_KILLS` is how often (20 unless set), and `TALLY_SEED` repeats a run.
@Suite(.serialized) struct `A broker that is killed` {
    static let kills =
        ProcessInfo.processInfo.environment["TALLY_KILLS"].flatMap { Int($0) } ?? 20

    /// How long files are, and what is published.
    enum Files: CaseIterable {
        /// Small ones come and go all the time.
        case small
        /// They are large enough that others are made of them, and begin where those have ended.
        case madeOfOthers

        var bytes: Int { self == .small ? 300_000 : 2_000_000 }

        /// How long a broker lives, in seconds. It takes time until nothing in a file is needed.
        var life: ClosedRange<Double> { self == .small ? 0.02...0.5 : 0.5...3 }

        /// Microseconds between batches: no faster than one test can look at what comes of them.
        var pause: UInt32 { self == .small ? 1_000 : 30_000 }

        /// What becomes of a message: the first is left, the second sent back, others are finished.
        var outcomes: Range<Int> { self == .small ? 0..<20 : 1..<50 }

        var kills: Int {
            let kills = `A broker that is killed`.kills
            return self == .small ? kills : (kills + 3) / 4
        }

        func body(of id: String) -> String {
            self == .small ? id : id + String(repeating: "x", count: 20_000)
        }
    }

    @Test(arguments: ["write", "always"], Files.allCases)
    func `delivers all that it acknowledged, and nothing that was finished`(
        sync: String, files: Files
    ) throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*killed"))
        let ledger = Witness()
        var madeOfOthers: Set<String> = []
        for _ in 0..<files.kills {
            let (broker, address) = try start(folder, sync, files)
            let publisher = Publisher(address, ledger, files)
            publisher.start()
            let end = Date(timeIntervalSinceNow: .random(in: files.life, using: &generator))
            do {
                try consume(address, until: end, ledger, files, &generator)
            } catch {
                Issue.record("\(error): \(broker.lines(of: .standardError).suffix(20))")
            }
            broker.send(SIGKILL)
            #expect(broker.status() == -SIGKILL)
            publisher.join()
            try expectHealthy(folder, again)
            madeOfOthers.formUnion(try filesMadeOfOthers(folder))
        }
        #expect(madeOfOthers.isEmpty == (files == .small), again)
        let (last, address) = try start(folder, sync, files)
        let missing = try drain(address, ledger)
        #expect(ledger.complaints.prefix(5) == [], again)
        #expect(missing.count == 0, again)
        print(
            "\(files.kills) kills, \(ledger.acknowledged.count) acknowledged, sync \(sync), "
                + "\(madeOfOthers.count) files made of others")
        last.send(SIGTERM)
        #expect(last.status() == 0)
        #expect(try spares(folder) == [])
    }

    private func expectHealthy(_ folder: TemporaryFolder, _ again: Comment) throws {
        let doctor = try BuiltProcess(["doctor", folder.url.path])
        #expect(doctor.status() == 0, again)
        #expect(doctor.lines(of: .standardOutput).last == "healthy", again)
    }

    /// Those of the journal's files whose headers tell of remains.
    private func filesMadeOfOthers(_ folder: TemporaryFolder) throws -> [String] {
        try names(folder).filter { name in
            let file = try FileHandle(forReadingFrom: folder.url.appending(component: name))
            defer { try? file.close() }
            let header = try file.read(upToCount: 64) ?? Data()
            return name.hasSuffix(".log") && header.dropFirst(20).prefix(8).contains { $0 != 0 }
        }
    }

    private func spares(_ folder: TemporaryFolder) throws -> [String] {
        try names(folder).filter { $0.hasPrefix("journal.spare.") }
    }

    private func names(_ folder: TemporaryFolder) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
    }

    private func start(
        _ folder: TemporaryFolder, _ sync: String, _ files: Files
    ) throws -> (BuiltProcess, String) {
        // Short files and little memory: they come and go, and are read back.
        try BuiltProcess.listening([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--data-path=\(folder.url.path)", "--sync=\(sync)", "--sync-timeout=20ms",
            "--max-bytes-per-file=\(files.bytes)", "--mem-queue-size=200",
        ])
    }

    /// Finishes most of what comes, sends some of it back, and leaves the rest.
    private func consume(
        _ address: String, until end: Date, _ ledger: Witness, _ files: Files,
        _ generator: inout SeededGenerator
    ) throws {
        let client = try BlockingClient(connectingTo: address)
        _ = try client.ask("SUB events all")
        try client.send(Array("RDY 300\n".utf8))
        var finished: [String] = []
        while end.timeIntervalSinceNow > 0 {
            guard let message = try client.message(timeout: end.timeIntervalSinceNow) else { break }
            ledger.sees(message)
            switch Int.random(in: files.outcomes, using: &generator) {
            case 0: break
            case 1:
                ledger.defers(message, by: 0.3)
                try client.tell("REQ", message, " 300")
            default:
                ledger.finishes(message)
                try client.tell("FIN", message)
                finished.append(message.key)
            }
            guard finished.count >= 50 else { continue }
            // An answer to what was said later: what was said before is noted by then.
            try publish(by: client, ledger, files)
            ledger.knowsFinished(finished)
            finished = []
        }
    }

    private func publish(by client: BlockingClient, _ ledger: Witness, _ files: Files) throws {
        let id = UUID().uuidString
        ledger.sends([id])
        #expect(try client.ask("PUB events", Array(files.body(of: id).utf8)) == "OK")
        ledger.isAcknowledged([id])
    }

    /// - Returns: what should have come, and did not.
    private func drain(_ address: String, _ ledger: Witness) throws -> Set<String> {
        let client = try BlockingClient(connectingTo: address)
        _ = try client.ask("SUB events all")
        try client.send(Array("RDY 300\n".utf8))
        var missing = ledger.missing
        let deadline = Date(timeIntervalSinceNow: 60)
        while !missing.isEmpty, deadline.timeIntervalSinceNow > 0 {
            guard let message = try client.message(timeout: 10) else { break }
            ledger.sees(message)
            missing.remove(message.key)
            try client.tell("FIN", message)
        }
        return missing
    }
}

extension BlockingClient.Message {
    /// What its body begins with, and no other does.
    fileprivate var key: String { String(body.prefix(36)) }
}

/// What was promised, and what came of it.
// SAFETY: everything is behind the lock.
private final class Witness: @unchecked Sendable {
    private let lock = NSLock()
    private var sent: Set<String> = []
    private(set) var acknowledged: Set<String> = []
    private var seen: Set<String> = []
    private var said: Set<String> = []
    private var known: Set<String> = []
    private var due: [String: Date] = [:]
    private var attempts: [String: Int] = [:]
    private(set) var complaints: [String] = []

    func sends(_ bodies: [String], deferredBy delay: Double = 0) {
        lock.withLock {
            sent.formUnion(bodies)
            for body in bodies where delay > 0 { due[body] = Date(timeIntervalSinceNow: delay) }
        }
    }

    func isAcknowledged(_ bodies: [String]) {
        lock.withLock { acknowledged.formUnion(bodies) }
    }

    func sees(_ message: BlockingClient.Message) {
        lock.withLock {
            let body = message.key
            seen.insert(body)
            if !sent.contains(body) { complaints.append("\(body) was never sent") }
            if known.contains(body) { complaints.append("\(body) was finished") }
            if let due = due[body], due.timeIntervalSinceNow > 0.005 {
                complaints.append("\(body) came \(due.timeIntervalSinceNow) s early")
            }
            if message.attempts < attempts[body, default: 1] {
                complaints.append("\(body) was tried \(message.attempts) times only")
            }
            attempts[body] = message.attempts
        }
    }

    func defers(_ message: BlockingClient.Message, by delay: Double) {
        // Whether the broker hears of it is not known; it comes no earlier than a retry, then.
        lock.withLock { due[message.key] = nil }
    }

    func finishes(_ message: BlockingClient.Message) {
        lock.withLock { _ = said.insert(message.key) }
    }

    func knowsFinished(_ bodies: [String]) {
        lock.withLock { known.formUnion(bodies) }
    }

    /// What has to come yet: acknowledged or seen, and not finished.
    var missing: Set<String> {
        lock.withLock { acknowledged.union(seen).subtracting(said) }
    }
}

/// Publishes as fast as it is answered, until the broker is gone.
private final class Publisher: @unchecked Sendable {
    private let address: String
    private let ledger: Witness
    private let files: `A broker that is killed`.Files
    private let done = DispatchSemaphore(value: 0)

    init(_ address: String, _ ledger: Witness, _ files: `A broker that is killed`.Files) {
        self.address = address
        self.ledger = ledger
        self.files = files
    }

    func start() {
        Thread.detachNewThread { [self] in
            defer { done.signal() }
            guard let client = try? BlockingClient(connectingTo: address) else { return }
            while (try? publish(by: client)) != nil { usleep(files.pause) }
        }
    }

    func join() { done.wait() }

    private func publish(by client: BlockingClient) throws {
        let ids = (0..<20).map { _ in UUID().uuidString }
        ledger.sends(ids)
        let batch = BlockingClient.batch(ids.map(files.body))
        if try client.ask("MPUB events", batch) == "OK" {
            ledger.isAcknowledged(ids)
        }
        let one = UUID().uuidString
        ledger.sends([one], deferredBy: 0.4)
        if try client.ask("DPUB events 400", Array(files.body(of: one).utf8)) == "OK" {
            ledger.isAcknowledged([one])
        }
    }
}
