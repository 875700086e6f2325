import Foundation
import NSQJobs
import TestTraits
import Testing

/// A cipher for tests: it inverts the bits of a text that consists of the name and the arguments of
/// the job.
private struct InvertingCipher: JobCipher {
    var keys: Set<String> = ["k1"]

    func encrypt(_ arguments: String, of name: String) throws(JobsError) -> EncryptedArguments {
        EncryptedArguments(
            key: keys.sorted().last ?? "", nonce: [7],
            text: "\(name)\n\(arguments)".utf8.map { ~$0 })
    }

    func decrypt(_ arguments: EncryptedArguments, of name: String) throws(JobsError) -> String {
        let text = String(decoding: arguments.text.map { ~$0 }, as: UTF8.self)
        guard keys.contains(arguments.key), text.hasPrefix("\(name)\n") else {
            throw JobsError(.invalidArguments, "unknown key '\(arguments.key)'")
        }
        return String(text.dropFirst(name.count + 1))
    }
}

@Suite struct `Encrypted arguments` {
    private let secret = #"{"number":4711}"#

    @Test func `are stored as JSON with the name of the key, and decrypted for the attempt`()
        async throws
    {
        let jobs = try await Jobs.manual(store: .memory, cipher: InvertingCipher())
        let id = try await jobs.enqueue(Numbered(number: 4711)).id
        let stored = try #require(try await jobs.status(of: id))
        #expect(!stored.arguments.contains("4711"))
        #expect(EncryptedArguments.key(of: stored.arguments) == "k1")
        #expect(EncryptedArguments.summary(of: stored.arguments) == "encrypted with key 'k1'")
        #expect(try jobs.decrypted(stored).decoded(as: Numbered.self).number == 4711)
        #expect(throws: JobsError.self) { try stored.decoded(as: Numbered.self) }
        #expect(try await jobs.enqueued(Numbered.self).map(\.number) == [4711])
        let recorder = Recorder()
        let performed = try await jobs.drain {
            $0.register(Numbered.self) { job, context in
                recorder.record(job.number)
                #expect(context.job.arguments == secret)
            }
        }
        #expect(recorder.all == [4711] && performed.map(\.state) == [.completed])
        #expect(performed[0].arguments == stored.arguments)
        await jobs.stop()
    }

    @Test func `of edited jobs, callbacks and schedules are encrypted too`() async throws {
        let jobs = try await Jobs.manual(store: .memory, cipher: InvertingCipher())
        let id = try await jobs.enqueue(Numbered(number: 1)).id
        let edited = try await jobs.edit(id, JobEdit(arguments: secret))
        #expect(EncryptedArguments.isUsed(in: edited.arguments))
        #expect(try jobs.decrypted(edited).arguments == secret)
        let error = await #expect(throws: JobsError.self) {
            try await jobs.changeAll(matching: JobQuery(), .edit(JobEdit(arguments: secret)))
        }
        #expect(error?.code == .invalidOption)
        try await jobs.schedule(
            CronSchedule(
                name: "s", CronExpression("* * * * *"), job: NewJob(name: "n", arguments: secret)))
        let scheduled = try await jobs.schedules()[0].job
        #expect(EncryptedArguments.isUsed(in: scheduled.arguments))
        _ = try await jobs.enqueueBatch([], then: NewJob(name: "n", arguments: secret))
        let callback = try #require(try await jobs.jobs(matching: JobQuery(name: "n")).jobs.first)
        #expect(try jobs.decrypted(callback).arguments == secret)
        await jobs.stop()
    }

    @Test func `that were read are stored as they are`() async throws {
        let jobs = try await Jobs.manual(store: .memory, cipher: InvertingCipher())
        let schedule = CronSchedule(
            name: "s", try CronExpression("* * * * *"), job: NewJob(name: "n", arguments: secret))
        try await jobs.schedule(schedule)
        let read = try await jobs.schedules()[0]
        try await jobs.schedule(read)
        #expect(try await jobs.schedules()[0].job.arguments == read.job.arguments)
        let again = try await jobs.enqueue(read.job).id
        let job = try #require(try await jobs.status(of: again))
        #expect(try jobs.decrypted(job).arguments == secret)
        let edited = try await jobs.edit(again, JobEdit(arguments: job.arguments))
        #expect(try jobs.decrypted(edited).arguments == secret)
        // Plain arguments that only look like encrypted ones are encrypted, too.
        let other = try await jobs.enqueue(NewJob(name: "n", arguments: #"{"$encrypted":7}"#)).id
        let stored = try #require(try await jobs.status(of: other))
        #expect(try jobs.decrypted(stored).arguments == #"{"$encrypted":7}"#)
        await jobs.stop()
    }

    /// A job whose decoding fails with an error that contains the value.
    private struct Colored: Job {
        enum Color: String, Codable { case red }

        var colors: [Color]

        func perform(_ context: JobContext) async throws {}
    }

    @Test func `are not in the errors of decoding`() async throws {
        let arguments = #"{"colors":["red","secret"]}"#
        let jobs = try await Jobs.manual(store: .memory, cipher: InvertingCipher())
        let id = try await jobs.enqueue(NewJob(name: Colored.name, arguments: arguments)).id
        _ = try await jobs.drain { $0.register(Colored.self) }
        let undecodable = try await jobs.status(of: id)
        #expect(
            undecodable?.note == "cannot decode the arguments: an invalid value at 'colors.1'")
        try await jobs.retry(id)
        _ = try await jobs.drain {
            $0.registerFallback { context in
                _ = try JSONDecoder().decode(
                    Colored.self, from: Data(context.job.arguments.utf8))
            }
        }
        #expect(try await jobs.status(of: id)?.note == "an invalid value at 'colors.1'")
        await jobs.stop()
        let plain = try await Jobs.manual()
        let other = try await plain.enqueue(NewJob(name: Colored.name, arguments: arguments)).id
        _ = try await plain.drain { $0.register(Colored.self) }
        #expect(try await plain.status(of: other)?.note?.contains("secret") == true)
        await plain.stop()
    }

    @Test func `keep their job for a worker with the key, with the reason`() async throws {
        let store = Jobs.Store.custom(try SQLiteJobStore(inMemory: .system))
        let jobs = try await Jobs.manual(store: store, cipher: InvertingCipher(keys: ["k2"]))
        let id = try await jobs.enqueue(Numbered(number: 1)).id
        let other = try await Jobs.manual(store: store, cipher: InvertingCipher(keys: ["k1"]))
        let without = try await Jobs.manual(store: store)
        let recorder = Recorder()
        func drain(_ jobs: Jobs) async throws -> JobRecord? {
            try await jobs.drain {
                $0.registerFallback { _ in recorder.record(1) }
            }
            return try await jobs.status(of: id)
        }
        for (jobs, reason) in [
            (other, "unknown key 'k2'"),
            (without, "the arguments are encrypted with key 'k2', and this process has no keys"),
        ] {
            let job = try #require(try await drain(jobs))
            #expect(job.note == "cannot decode the arguments: \(reason)")
            #expect(job.state == .scheduled && job.attempt == 0)
            try await jobs.retry(id)
        }
        #expect(recorder.all.isEmpty)
        #expect(try await drain(jobs)?.state == .completed)
        #expect(recorder.all == [1])
        await jobs.stop()
    }

    @Test func `are stored beside those that are not encrypted`() async throws {
        let store = Jobs.Store.custom(try SQLiteJobStore(inMemory: .system))
        let without = try await Jobs.manual(store: store)
        let id = try await without.enqueue(Numbered(number: 1)).id
        let jobs = try await Jobs.manual(store: store, cipher: InvertingCipher())
        let job = try #require(try await jobs.status(of: id))
        #expect(try jobs.decrypted(job) == job)
        let performed = try await jobs.drain { $0.register(Numbered.self) }
        #expect(performed.map(\.state) == [.completed])
        await jobs.stop()
    }

    @Test func `are refused if they are larger than the store allows`() async throws {
        let jobs = try await Jobs.manual(store: .memory, cipher: InvertingCipher())
        let text = "\"" + String(repeating: "x", count: NewJob.maxArgumentBytes * 3 / 4) + "\""
        let error = await #expect(throws: JobsError.self) {
            try await jobs.enqueue(NewJob(name: "n", arguments: text))
        }
        #expect(error?.code == .invalidArguments)
        await jobs.stop()
    }

    @Test(arguments: [
        #"{"$encrypted":{}}"#, #"{"$encrypted":7}"#, #"{"$encrypted":"#,
        #"{"$encrypted":{"algorithm":"AES-GCM","key":"k1","nonce":"%","text":""}}"#,
        #"{"$encrypted":{"algorithm":"none","key":"k1","nonce":"","text":""}}"#,
    ])
    func `that are malformed keep their job`(arguments: String) async throws {
        let store = try SQLiteJobStore(inMemory: .system)
        let receipt = try await store.enqueue(
            [NewJob(name: Numbered.name, arguments: arguments)], publishing: nil,
            at: JobTime(Date())
        ).receipts[0]
        let jobs = try await Jobs.manual(store: .custom(store), cipher: InvertingCipher())
        _ = try await jobs.drain { $0.register(Numbered.self) }
        let job = try await jobs.status(of: receipt.id)
        #expect(job?.note == "cannot decode the arguments: the encrypted arguments are malformed")
        await jobs.stop()
    }

    @Test func `name their key, whatever characters it has`() {
        for key in ["k", #"a","nonce":"b"#, "ü\"\\"] {
            let arguments = EncryptedArguments(key: key, nonce: [1, 2], text: [3])
            #expect(EncryptedArguments(json: arguments.json) == arguments)
            #expect(EncryptedArguments.key(of: arguments.json) == key)
        }
    }
}
