import NSQJobs
import TallyJSON
import UVLoop

/// The programs of `tally jobs work --keep`. There are at most as many as jobs run at the same
/// time. A program that has ended is replaced when the next job needs a program.
final class PersistentPrograms: Sendable {
    private let program: JobProgram
    private let snooze: Duration
    private let idle = LockedValue<[PersistentProgram]>([])

    /// - Parameter snooze: the delay after which a job runs again if the program postpones it
    ///   without a time.
    init(_ program: JobProgram, snooze: Duration) {
        self.program = program
        self.snooze = snooze
    }

    /// Performs a job with a program that performs no other job at the same time.
    ///
    /// - Throws: a ``ProgramFailure`` or `JobInterruption` that says how the attempt ended, unless
    ///   it succeeded.
    func perform(_ context: JobContext) async throws {
        let kept = try takeIdle() ?? start()
        let deadline = kept.deadline
        var line: [UInt8]
        do {
            line = try await kept.exchange(JobLine.text(of: context.job), until: deadline)
            while let step = JobStepLine(parsing: line, of: context.job) {
                line = try await kept.exchange(step.answer(in: context), until: deadline)
            }
        } catch {
            kept.kill()
            throw error
        }
        guard let answer = JobAnswer(parsing: line, of: context.job) else {
            kept.kill()
            let text = String(decoding: line.prefix(200), as: UTF8.self)
            throw ProgramFailure(
                description: "the program answered '\(text)', and not as the protocol demands")
        }
        idle.withLock { $0.append(kept) }
        try answer.apply(snooze: snooze)
    }

    /// Ends the programs: closes their standard input, and kills programs that do not end.
    func close() async {
        let programs = idle.withLock { idle in
            defer { idle = [] }
            return idle
        }
        await withDiscardingTaskGroup { group in
            for program in programs { group.addTask { await program.close() } }
        }
    }

    private func takeIdle() -> PersistentProgram? {
        idle.withLock { idle in
            while let program = idle.popLast() {
                if !program.hasEnded { return program }
            }
            return nil
        }
    }

    private func start() throws -> PersistentProgram {
        do throws(UVError) {
            return try PersistentProgram(program, environment: JobProgram.environmentOfPersistent)
        } catch {
            throw ProgramFailure(
                description: ProgramEnd(reason: .notStarted(errno: -error.code), errorText: "")
                    .failure)
        }
    }
}

/// The line that a persistent program reads for a job:
/// `{"id":7,"name":"greet","queue":"mail","attempt":1,"max_attempts":20,"arguments":{"name":"Ada"}}`, with
/// `traceparent` and `tracestate` before the arguments if the job has a trace.
enum JobLine {
    /// The line, including its newline.
    static func text(of job: JobRecord) -> [UInt8] {
        var bytes = JSONWriter.object { object in
            object.member("id", Int(job.id.number))
            object.member("name", job.name)
            object.member("queue", job.queue)
            object.member("attempt", job.attempt)
            object.member("max_attempts", job.maxAttempts)
            let context = job.w3cContext
            for name in ["traceparent", "tracestate"] {
                if let value = context[name] { object.member(name, value) }
            }
        }
        bytes.removeLast()
        bytes += #","arguments":"#.utf8
        // In JSON, a line end can only be white space between tokens, so replacing it by a space
        // does not change the value.
        bytes += job.arguments.utf8.map { $0 == 0x0a || $0 == 0x0d ? 0x20 : $0 }
        bytes += "}\n".utf8
        return bytes
    }
}

/// The answer of a persistent program: `{"id":7,"result":"completed"}`.
struct JobAnswer: Equatable {
    enum Result: String {
        case completed, failed, discarded, snoozed
    }

    let result: Result
    /// The error of a failed or discarded job.
    let error: String
    /// The delay after which a postponed job runs again; `nil` for the default.
    let delay: Duration?

    /// Parses a line. Returns `nil` if it is not an answer for this job. Unknown members are
    /// ignored.
    init?(parsing line: [UInt8], of job: JobRecord) {
        guard let value = try? JSONValue(parsingStrictly: line, maxDepth: 64),
            value["id"].flatMap({ Int(json: $0) }) == Int(job.id.number),
            let result = value["result"].flatMap({ String(json: $0) }).flatMap(
                Result.init(rawValue:))
        else { return nil }
        self.result = result
        error = value["error"].flatMap { String(json: $0) } ?? "failed without an error"
        guard let seconds = value["delay_seconds"] else {
            delay = nil
            return
        }
        guard let seconds = Int(json: seconds), (0...1_000_000_000).contains(seconds) else {
            return nil
        }
        delay = .seconds(seconds)
    }

    /// Returns if the job is completed.
    ///
    /// - Throws: the error or interruption with which the attempt ends, if the job is not
    ///   completed.
    func apply(snooze: Duration) throws {
        switch result {
        case .completed: return
        case .failed: throw ProgramFailure(description: error)
        case .discarded: throw JobInterruption.discard(error)
        case .snoozed: throw JobInterruption.snooze(delay ?? snooze)
        }
    }
}
