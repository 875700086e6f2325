import Foundation
import NSQJobs
import TallyBasics
import TestKit
import TestTraits
import Testing

@Suite struct `A message of a job that another worker holds` {
    @Test func `does not end the lease while the process of the worker lives`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        #expect(try await fixture.takeOver(job) == .held)
        #expect(try await fixture.settle(job, .complete))
    }

    @Test func `leads to a claim when the process of the worker has ended`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        let other = try await fixture.running()
        fixture.processes.end("p1")
        guard case .claimed(let taken) = try await fixture.takeOver(job) else {
            throw NotTaken()
        }
        #expect(taken.id == job.id && taken.attempt == 2)
        #expect(try await fixture.settle(job, .complete) == false)
        let attempts = try await fixture.store.attempts(of: job.id)
        #expect(attempts.map(\.result) == [.leaseExpired])
        // The other jobs of the worker are available too, and the relay publishes them at once.
        #expect(try await fixture.store.job(other.id)?.state == .available)
        let worker = try await fixture.store.workers().first { $0.number == fixture.worker }
        #expect(worker?.stoppedAt != nil)
    }

    @Test func `tells its worker that further jobs became available`() async throws {
        let fixture = try await StoreFixture()
        let (job, other) = (try await fixture.running(), try await fixture.running())
        let held = try await fixture.takeOverAll(job)
        #expect(!held.hasNewlyAvailable)
        fixture.processes.end("p1")
        let results = try await fixture.takeOverAll(job)
        #expect(results.hasNewlyAvailable)
        #expect(try await fixture.store.job(other.id)?.state == .available)
    }

    @Test func `waits for the grace period of a worker that starts processes`() async throws {
        let fixture = try await StoreFixture()
        let worker = try await fixture.store.registerWorker(
            NewWorker(name: "w", queues: [], concurrency: 1, gracePeriod: .seconds(1)),
            at: fixture.start)
        let id = try await fixture.enqueue(NewJob(name: "n"))[0].id
        let reference = JobReference(id: id, version: 1)
        _ = try await fixture.store.claim(
            [reference], worker: worker, lease: fixture.lease, at: fixture.start)
        let job = try #require(try await fixture.store.job(id))
        fixture.processes.end("p1")
        #expect(try await fixture.takeOver(job) == .held)
        fixture.leases.advance(by: .milliseconds(999))
        #expect(try await fixture.store.expireLeases(limit: 10, at: fixture.start) == 0)
        fixture.leases.advance(by: .milliseconds(1))
        #expect(try await fixture.store.expireLeases(limit: 10, at: fixture.start) == 1)
    }

    @Test func `does not end the lease of a worker whose process is not known`() async throws {
        let fixture = try await StoreFixture()
        fixture.processes.own = nil
        let worker = try await fixture.store.registerWorker(
            NewWorker(name: "w", queues: [], concurrency: 1), at: fixture.start)
        let id = try await fixture.enqueue(NewJob(name: "n"))[0].id
        _ = try await fixture.store.claim(
            [JobReference(id: id, version: 1)], worker: worker, lease: fixture.lease,
            at: fixture.start)
        fixture.processes.end("p1")
        let job = try #require(try await fixture.store.job(id))
        #expect(try await fixture.takeOver(job) == .held)
    }

    private struct NotTaken: Error {}
}

extension StoreFixture {
    /// Claims a running job for another worker, by the message under which it was claimed before.
    fileprivate func takeOver(_ job: JobRecord) async throws -> ClaimResult {
        try await takeOverAll(job).results[0]
    }

    fileprivate func takeOverAll(_ job: JobRecord) async throws -> ClaimResults {
        processes.own = "p2"
        let other = try await store.registerWorker(
            NewWorker(name: "w2", queues: [], concurrency: 1), at: start)
        return try await store.claim(
            [JobReference(id: job.id, version: job.version - 1)], worker: other, lease: lease,
            at: start)
    }
}

extension ClaimResult: Equatable {
    /// Compares the kinds.
    package static func == (left: ClaimResult, right: ClaimResult) -> Bool {
        switch (left, right) {
        case (.claimed, .claimed), (.stale, .stale), (.held, .held), (.paused, .paused): true
        default: false
        }
    }
}

@Suite struct `The relay's sweep` {
    @Test func `ends the leases of workers whose processes have ended`() async throws {
        let fixture = try await StoreFixture()
        let job = try await fixture.running()
        let alive = try await fixture.store.sweep(
            limit: 10, policy: PublishPolicy(), at: fixture.start)
        #expect(alive.expiredLeases == 0)
        fixture.processes.end("p1")
        let result = try await fixture.store.sweep(
            limit: 10, policy: PublishPolicy(), at: fixture.start)
        #expect(result.expiredLeases == 1)
        #expect(result.publications.map(\.reference.id) == [job.id])
    }

    @Test func `checks the workers of its namespaces, however many others have not stopped`()
        async throws
    {
        let fixture = try await StoreFixture()
        for number in 0..<100 {
            fixture.processes.own = "\(number) 1 pid:[2],time:[2]"
            _ = try await fixture.store.registerWorker(
                NewWorker(name: "other", queues: [], concurrency: 1), at: fixture.start)
        }
        let job = try await fixture.running()
        fixture.processes.end("p1")
        fixture.processes.own = "p2"
        let later = fixture.start + .seconds(1)
        try await fixture.store.updateWorker(fixture.worker, isStopped: false, at: later)
        let result = try await fixture.store.sweep(
            limit: 10, policy: PublishPolicy(), at: later)
        #expect(result.publications.map(\.reference.id) == [job.id])
    }
}

@Suite(.blocking) struct `The identity of a process` {
    private let table = ProcessLiveness.system

    @Test func `is that of a process which lives, until it ends`() throws {
        let own = try #require(table.own())
        #expect(!table.hasEnded(own))
        let child = try BuiltProcess(["60"], executable: URL(filePath: "/usr/bin/sleep"))
        let identity = try self.identity(of: child.processID, like: own)
        #expect(!table.hasEnded(identity))
        child.send(SIGKILL)
        #expect(child.status() == -SIGKILL)
        #expect(table.hasEnded(identity))
    }

    @Test func `ends before its parent has read its status`() throws {
        let own = try #require(table.own())
        var child: Int32 = 0
        var words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
        defer { for word in words { free(word) } }
        #expect(posix_spawn(&child, "/usr/bin/sleep", nil, nil, &words, environ) == 0)
        let identity = try self.identity(of: child, like: own)
        kill(child, SIGKILL)
        // Waits for the end without collecting the status, so the child remains a zombie.
        var status = siginfo_t()
        #expect(waitid(P_PID, UInt32(child), &status, WEXITED | WNOWAIT) == 0)
        #expect(table.hasEnded(identity))
        waitpid(child, nil, 0)
    }

    @Test func `of another start, or of other namespaces, says nothing about this process`() throws
    {
        let own = try #require(table.own())
        var fields = own.split(separator: " ").map { String($0) }
        fields[2] = "pid:[1],time:[1]"
        #expect(!table.hasEnded(fields.joined(separator: " ")))
        #expect(!table.hasEnded("") && !table.hasEnded("0 1 x") && !table.hasEnded("x y z"))
        fields = own.split(separator: " ").map { String($0) }
        fields[1] = "1"
        #expect(
            table.hasEnded(fields.joined(separator: " ")), "the number belongs to a later process")
    }

    /// The identity of a process with the namespaces of another identity.
    private func identity(of process: Int32, like own: String) throws -> String {
        let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        let end = try #require(text.lastIndex(of: ")"))
        let fields = text[end...].split(separator: " ").dropFirst().map { String($0) }
        return "\(process) \(fields[19]) \(own.split(separator: " ")[2])"
    }
}
