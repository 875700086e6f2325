import Foundation
import NSQWire
import TestKit
import TestTraits
import Testing

/// Kills the broker at random times under load, and restarts it on its data path.
///
/// `TALLY_KILLS` sets the number of kills (default 20), and `TALLY_SEED` repeats a run.
@Suite(.blocking, .serialized) struct `A killed broker` {
    static let kills =
        ProcessInfo.processInfo.environment["TALLY_KILLS"].flatMap { Int($0) } ?? 20

    /// The size of the journal's files and of the messages.
    enum Files: CaseIterable {
        /// The files are small, so they are created and deleted all the time.
        case small
        /// The files are large enough to be recycled.
        case recycled

        var bytes: Int { self == .small ? 300_000 : 2_000_000 }

        /// The lifetime of a broker, in seconds; a file is only recycled when all its records are obsolete.
        var life: ClosedRange<Double> { self == .small ? 0.02...0.5 : 0.5...3 }

        /// Microseconds between batches, which limit the number of messages to check.
        var pause: UInt32 { self == .small ? 1_000 : 30_000 }

        /// The handling of messages: the first is left in flight, the second requeued, others finished.
        var outcomes: Range<Int> { self == .small ? 0..<20 : 1..<50 }

        var kills: Int {
            let kills = `A killed broker`.kills
            return self == .small ? kills : (kills + 3) / 4
        }

        func body(of id: String) -> String {
            self == .small ? id : id + String(repeating: "x", count: 20_000)
        }
    }

    @Test(arguments: ["write", "always"], Files.allCases)
    func `delivers every acknowledged message after a restart and no finished one`(
        sync: String, files: Files
    ) throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let repetition = Comment(rawValue: generator.repetition(of: "EndToEndTests.*killed"))
        let record = DeliveryRecord()
        var recycled: Set<String> = []
        var kills = 0
        // On a slow machine, it takes longer until a file is obsolete.
        while kills < files.kills || (files == .recycled && recycled.isEmpty && kills < 100) {
            kills += 1
            let (broker, address) = try start(folder, sync, files)
            let publisher = Publisher(address, record, files)
            publisher.start()
            let end = Date(timeIntervalSinceNow: .random(in: files.life, using: &generator))
            do {
                try consume(address, until: end, record, files, &generator)
            } catch {
                Issue.record("\(error): \(broker.linesSoFar(of: .standardError).suffix(20))")
            }
            broker.send(SIGKILL)
            #expect(broker.status() == -SIGKILL)
            publisher.join()
            try expectHealthy(folder, repetition)
            recycled.formUnion(try recycledFiles(folder))
        }
        #expect(recycled.isEmpty == (files == .small), repetition)
        let (last, address) = try start(folder, sync, files)
        let missing = try drain(address, record)
        #expect(record.errors.prefix(5) == [], repetition)
        #expect(missing.count == 0, repetition)
        print(
            "\(kills) kills, \(record.acknowledged.count) acknowledged, sync \(sync), "
                + "\(recycled.count) recycled files")
        last.send(SIGTERM)
        #expect(last.status() == 0)
        #expect(try unusedRecycledFiles(folder) == [])
    }

    private func expectHealthy(_ folder: TemporaryFolder, _ repetition: Comment) throws {
        let doctor = try BuiltProcess(["doctor", folder.url.path])
        #expect(doctor.status() == 0, repetition)
        #expect(doctor.lines(of: .standardOutput).last == "healthy", repetition)
    }

    /// The journal's recycled files, recognized by their headers.
    private func recycledFiles(_ folder: TemporaryFolder) throws -> [String] {
        try names(folder).filter { name in
            let file = try FileHandle(forReadingFrom: folder.url.appending(component: name))
            defer { try? file.close() }
            let header = try file.read(upToCount: 64) ?? Data()
            return name.hasSuffix(".log") && header.dropFirst(20).prefix(8).contains { $0 != 0 }
        }
    }

    private func unusedRecycledFiles(_ folder: TemporaryFolder) throws -> [String] {
        try names(folder).filter { $0.hasPrefix("journal.spare.") }
    }

    private func names(_ folder: TemporaryFolder) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
    }

    private func start(
        _ folder: TemporaryFolder, _ sync: String, _ files: Files
    ) throws -> (BuiltProcess, String) {
        // Small files and little memory, so that files are deleted and messages are read from disk.
        try BuiltProcess.listening([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--data-path=\(folder.url.path)", "--sync=\(sync)", "--sync-timeout=20ms",
            "--max-bytes-per-file=\(files.bytes)", "--mem-queue-size=200",
        ])
    }

    /// Finishes most messages, requeues some, and leaves the rest in flight.
    private func consume(
        _ address: String, until end: Date, _ record: DeliveryRecord, _ files: Files,
        _ generator: inout SeededGenerator
    ) throws {
        let client = try BlockingClient(connectingTo: address)
        _ = try client.ask("SUB events all")
        try client.send(Array("RDY 300\n".utf8))
        var finished: [String] = []
        while end.timeIntervalSinceNow > 0 {
            guard let message = try client.message(timeout: end.timeIntervalSinceNow) else { break }
            record.delivered(message)
            switch Int.random(in: files.outcomes, using: &generator) {
            case 0: break
            case 1:
                record.requeued(message, by: 0.3)
                try client.tell("REQ", message, " 300")
            default:
                record.finishSent(message)
                try client.tell("FIN", message)
                finished.append(message.key)
            }
            guard finished.count >= 50 else { continue }
            // The answer to a later command proves that the earlier ones are in the journal.
            try publish(by: client, record, files)
            record.finishConfirmed(finished)
            finished = []
        }
    }

    private func publish(by client: BlockingClient, _ record: DeliveryRecord, _ files: Files) throws
    {
        let id = UUID().uuidString
        record.published([id])
        #expect(try client.ask("PUB events", Array(files.body(of: id).utf8)) == "OK")
        record.acknowledge([id])
    }

    /// - Returns: the messages that should have arrived and did not.
    private func drain(_ address: String, _ record: DeliveryRecord) throws -> Set<String> {
        let client = try BlockingClient(connectingTo: address)
        _ = try client.ask("SUB events all")
        try client.send(Array("RDY 300\n".utf8))
        var missing = record.missing
        while !missing.isEmpty {
            guard let message = try client.message(timeout: longestWait) else { break }
            record.delivered(message)
            missing.remove(message.key)
            try client.tell("FIN", message)
        }
        return missing
    }
}

extension BlockingClient.Message {
    /// The start of the body, which is unique.
    fileprivate var key: String { String(body.prefix(36)) }
}

/// The acknowledged and the finished messages.
// SAFETY: a lock protects all state.
private final class DeliveryRecord: @unchecked Sendable {
    private let lock = NSLock()
    private var sent: Set<String> = []
    private(set) var acknowledged: Set<String> = []
    private var seen: Set<String> = []
    /// Messages whose FIN was sent.
    private var finished: Set<String> = []
    /// Messages whose FIN was certainly processed.
    private var confirmed: Set<String> = []
    private var due: [String: Date] = [:]
    private var attempts: [String: Int] = [:]
    private(set) var errors: [String] = []

    func published(_ bodies: [String], deferredBy delay: Double = 0) {
        lock.withLock {
            sent.formUnion(bodies)
            for body in bodies where delay > 0 { due[body] = Date(timeIntervalSinceNow: delay) }
        }
    }

    func acknowledge(_ bodies: [String]) {
        lock.withLock { acknowledged.formUnion(bodies) }
    }

    func delivered(_ message: BlockingClient.Message) {
        lock.withLock {
            let body = message.key
            seen.insert(body)
            if !sent.contains(body) { errors.append("\(body) was never sent") }
            if confirmed.contains(body) { errors.append("\(body) was delivered after FIN") }
            if let due = due[body], due.timeIntervalSinceNow > 0.005 {
                errors.append("\(body) was delivered \(due.timeIntervalSinceNow) s early")
            }
            if message.attempts < attempts[body, default: 1] {
                errors.append("\(body) has only attempt \(message.attempts)")
            }
            attempts[body] = message.attempts
        }
    }

    func requeued(_ message: BlockingClient.Message, by delay: Double) {
        // The broker may or may not have received the command.
        lock.withLock { due[message.key] = nil }
    }

    func finishSent(_ message: BlockingClient.Message) {
        lock.withLock { _ = finished.insert(message.key) }
    }

    func finishConfirmed(_ bodies: [String]) {
        lock.withLock { confirmed.formUnion(bodies) }
    }

    /// The messages that must still be delivered: acknowledged or seen, and not finished.
    var missing: Set<String> {
        lock.withLock { acknowledged.union(seen).subtracting(finished) }
    }
}

/// Publishes as fast as the broker answers, until it is killed.
private final class Publisher: @unchecked Sendable {
    private let address: String
    private let record: DeliveryRecord
    private let files: `A killed broker`.Files
    private let done = DispatchSemaphore(value: 0)

    init(_ address: String, _ record: DeliveryRecord, _ files: `A killed broker`.Files) {
        self.address = address
        self.record = record
        self.files = files
    }

    func start() {
        Thread.detachNewThread { [self] in
            defer { done.signal() }
            guard let client = try? BlockingClient(connectingTo: address) else { return }
            // The pause limits the rate of publishing; see `Files.pause`.
            while (try? publish(by: client)) != nil { usleep(files.pause) }
        }
    }

    func join() { done.wait() }

    private func publish(by client: BlockingClient) throws {
        let ids = (0..<20).map { _ in UUID().uuidString }
        record.published(ids)
        let batch = BlockingClient.batch(ids.map(files.body))
        if try client.ask("MPUB events", batch) == "OK" {
            record.acknowledge(ids)
        }
        let one = UUID().uuidString
        record.published([one], deferredBy: 0.4)
        if try client.ask("DPUB events 400", Array(files.body(of: one).utf8)) == "OK" {
            record.acknowledge([one])
        }
    }
}
