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

    @Test(arguments: ["write", "always"])
    func `delivers all that it acknowledged, and nothing that was finished`(
        sync: String
    ) throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*killed"))
        let ledger = Witness()
        for _ in 0..<Self.kills {
            let (broker, address) = try start(folder, sync)
            let publisher = Publisher(address, ledger)
            publisher.start()
            let end = Date(timeIntervalSinceNow: .random(in: 0.02...0.5, using: &generator))
            do {
                try consume(address, until: end, ledger, &generator)
            } catch {
                Issue.record("\(error): \(broker.lines(of: .standardError).suffix(20))")
            }
            broker.send(SIGKILL)
            #expect(broker.status() == -SIGKILL)
            publisher.join()
        }
        let (last, address) = try start(folder, sync)
        let missing = try drain(address, ledger)
        #expect(ledger.complaints.prefix(5) == [], again)
        #expect(missing.count == 0, again)
        print("\(Self.kills) kills, \(ledger.acknowledged.count) acknowledged, sync \(sync)")
        last.send(SIGTERM)
        #expect(last.status() == 0)
    }

    private func start(
        _ folder: TemporaryFolder, _ sync: String
    ) throws -> (BuiltProcess, String) {
        // Small files and little memory: they come and go, and are read back.
        try BuiltProcess.listening([
            "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
            "--data-path=\(folder.url.path)", "--sync=\(sync)", "--max-bytes-per-file=300000",
            "--mem-queue-size=200",
        ])
    }

    /// Finishes most of what comes, sends some of it back, and leaves the rest.
    private func consume(
        _ address: String, until end: Date, _ ledger: Witness, _ generator: inout SeededGenerator
    ) throws {
        let client = try BlockingClient(connectingTo: address)
        _ = try client.ask("SUB events all")
        try client.send(Array("RDY 300\n".utf8))
        var finished: [String] = []
        while end.timeIntervalSinceNow > 0 {
            guard let message = try client.message(timeout: end.timeIntervalSinceNow) else { break }
            ledger.sees(message)
            switch Int.random(in: 0..<20, using: &generator) {
            case 0: break
            case 1:
                ledger.defers(message, by: 0.3)
                try client.tell("REQ", message, " 300")
            default:
                ledger.finishes(message)
                try client.tell("FIN", message)
                finished.append(message.body)
            }
            guard finished.count >= 50 else { continue }
            // An answer to what was said later: what was said before is noted by then.
            #expect(try client.ask("PUB fence", Array("fence".utf8)) == "OK")
            ledger.knowsFinished(finished)
            finished = []
        }
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
            missing.remove(message.body)
            try client.tell("FIN", message)
        }
        return missing
    }
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
            let body = message.body
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
        lock.withLock { due[message.body] = nil }
    }

    func finishes(_ message: BlockingClient.Message) {
        lock.withLock { _ = said.insert(message.body) }
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
    private let done = DispatchSemaphore(value: 0)

    init(_ address: String, _ ledger: Witness) {
        self.address = address
        self.ledger = ledger
    }

    func start() {
        Thread.detachNewThread { [self] in
            defer { done.signal() }
            guard let client = try? BlockingClient(connectingTo: address) else { return }
            // No faster than one test can look at what comes of it.
            while (try? publish(by: client)) != nil { usleep(1_000) }
        }
    }

    func join() { done.wait() }

    private func publish(by client: BlockingClient) throws {
        let bodies = (0..<20).map { _ in UUID().uuidString }
        ledger.sends(bodies)
        if try client.ask("MPUB events", BlockingClient.batch(bodies)) == "OK" {
            ledger.isAcknowledged(bodies)
        }
        let one = UUID().uuidString
        ledger.sends([one], deferredBy: 0.4)
        if try client.ask("DPUB events 400", Array(one.utf8)) == "OK" {
            ledger.isAcknowledged([one])
        }
    }
}
