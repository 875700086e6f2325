import Foundation
import Logging

/// The context of one attempt, which the job receives when it is performed.
public struct JobContext: Sendable {
    /// The job, as it was claimed.
    public let job: JobRecord

    let store: any JobStore
    let clock: JobClock
    private let workerLogger: Logger

    init(_ job: JobRecord, _ store: any JobStore, _ clock: JobClock, _ logger: Logger) {
        self.job = job
        self.store = store
        self.clock = clock
        workerLogger = logger
    }

    /// A logger with the job's ID, name and attempt as metadata.
    public var logger: Logger {
        // The logger is created on access, because most jobs log nothing, and creating its metadata
        // takes more time than a short job.
        var logger = workerLogger
        logger[metadataKey: "job"] = "\(job.id)"
        logger[metadataKey: "name"] = "\(job.name)"
        logger[metadataKey: "attempt"] = "\(job.attempt)"
        return logger
    }

    /// The context with another state of the same job.
    func replacing(_ job: JobRecord) -> JobContext {
        JobContext(job, store, clock, workerLogger)
    }

    /// The identity of the job.
    public var id: JobID { job.id }

    /// The number of the attempt, from 1.
    public var attempt: Int { job.attempt }

    /// `true` if a failure of this attempt discards the job.
    public var isLastAttempt: Bool { job.attempt >= job.maxAttempts }

    /// Stores a value as the job's progress or result. It replaces the value stored before, and is visible
    /// at once in ``JobRecord/output``.
    ///
    /// - Parameter value: the value, whose JSON has at most 1 MiB.
    /// - Throws: ``JobsError/Code/invalidArguments`` if the value cannot be encoded or is too large,
    ///   ``JobsError/Code/invalidOption`` if the job is fleeting, ``JobsError/Code/storeFailed``,
    ///   ``JobsError/Code/cancelled`` if the worker does not hold the job any more.
    public func setOutput(_ value: some Encodable & Sendable) async throws(JobsError) {
        let data: Data
        do {
            data = try JobCoding.encoder.encode(value)
        } catch {
            throw JobsError(.invalidArguments, "cannot encode the output of a job: \(error)")
        }
        try await setOutput(json: String(decoding: data, as: UTF8.self))
    }

    /// Stores a JSON text as the progress or the result.
    package func setOutput(json: String) async throws(JobsError) {
        guard json.utf8.count <= NewJob.maxArgumentBytes else {
            throw JobsError(
                .invalidArguments,
                "the output of a job has \(json.utf8.count) bytes, and at most "
                    + "\(NewJob.maxArgumentBytes) are allowed")
        }
        guard !job.id.isFleeting else {
            throw JobsError(.invalidOption, "a fleeting job has no output")
        }
        guard let claim = job.claim, try await store.setOutput(json, of: claim) else {
            throw JobsError(.cancelled, "the worker does not hold job \(job.id) any more")
        }
    }
}
