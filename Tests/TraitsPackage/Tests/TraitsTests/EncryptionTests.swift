import Crypto
import NSQJobs
import NSQJobsEmbedded
import Testing

@Suite(.timeLimit(.minutes(5))) struct `The encryption of arguments` {
    struct Pay: Job {
        static let options = JobOptions(queue: "payments", maxAttempts: 1)
        var card: String

        func perform(_ context: JobContext) async throws {
            guard card == "4711" else { throw JobInterruption.discard(card) }
        }
    }

    private let old = SymmetricKey(size: .bits256)
    private let new = SymmetricKey(size: .bits128)

    @Test func `hides them in the store, and lets workers with the key perform the job`()
        async throws
    {
        var configuration = Jobs.Configuration()
        configuration.encryption = try JobEncryption(keys: ["old": old], encryptingWith: "old")
        let jobs = try await Jobs(store: .memory, nsqd: .embedded, configuration: configuration)
        let id = try await jobs.enqueue(Pay(card: "4711")).id
        let stored = try #require(try await jobs.status(of: id))
        #expect(stored.arguments.hasPrefix(#"{"$encrypted":{"algorithm":"AES-GCM","key":"old","#))
        #expect(!stored.arguments.contains("4711"))
        #expect(try jobs.decrypted(stored).decoded(as: Pay.self).card == "4711")
        let worker = jobs.worker(queues: ["payments"]) { $0.register(Pay.self) }
        let run = Task { try await worker.run() }
        while try await jobs.status(of: id)?.state != .completed {
            try await Task.sleep(for: .milliseconds(5))
        }
        worker.stop()
        try await run.value
        await jobs.stop()
    }

    @Test func `reads former keys, and refuses unknown keys and arguments of other jobs`()
        async throws
    {
        func jobs(_ encryption: JobEncryption) async throws -> Jobs {
            var configuration = Jobs.Configuration()
            configuration.encryption = encryption
            return try await Jobs(store: .memory, configuration: configuration)
        }
        let former = try await jobs(JobEncryption(keys: ["old": old], encryptingWith: "old"))
        let id = try await former.enqueue(Pay(card: "4711")).id
        let stored = try #require(try await former.status(of: id))
        let both = try await jobs(
            JobEncryption(keys: ["old": old, "new": new], encryptingWith: "new"))
        #expect(try both.decrypted(stored).decoded(as: Pay.self).card == "4711")
        let latest = try await jobs(JobEncryption(keys: ["new": new], encryptingWith: "new"))
        let unknown = #expect(throws: JobsError.self) { try latest.decrypted(stored) }
        #expect(unknown?.reason.contains("key 'old', which this process does not have") == true)
        // Decryption fails with another key that has the same name, and for a job with another name.
        let other = try await jobs(JobEncryption(keys: ["old": new], encryptingWith: "old"))
        #expect(throws: JobsError.self) { try other.decrypted(stored) }
        let moved = try await Jobs(store: .memory)
        let copy = try await moved.enqueue(NewJob(name: "Other", arguments: stored.arguments)).id
        let copied = try #require(try await moved.status(of: copy))
        let refused = #expect(throws: JobsError.self) { try former.decrypted(copied) }
        #expect(refused?.reason.contains("belong to another job") == true)
        for each in [former, both, latest, other, moved] { await each.stop() }
    }

    @Test func `is refused without a valid key`() {
        #expect(throws: JobsError.self) { try JobEncryption(keys: [:], encryptingWith: "a") }
        #expect(throws: JobsError.self) {
            try JobEncryption(keys: ["a": SymmetricKey(data: [1, 2, 3])], encryptingWith: "a")
        }
        #expect(throws: JobsError.self) {
            try JobEncryption(keys: ["": old], encryptingWith: "")
        }
    }
}
