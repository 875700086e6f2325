import Foundation

/// A unit of work that is stored, and performed later by a worker.
///
/// ```swift
/// struct SendReport: Job {
///     static let options = JobOptions(queue: "mail", maxAttempts: 7)
///     var user: Int
///
///     func perform(_ context: JobContext) async throws {
///         try await send(report(of: user))
///     }
/// }
/// ```
///
/// The properties are the arguments, which are stored as JSON. A job runs at least once: if its worker
/// is killed between the end of the work and the commit of the result, the job runs again. So `perform`
/// must be idempotent.
public protocol Job: Codable, Sendable {
    /// The name by which workers find the type: 1 to 200 bytes without control characters. The default is
    /// the name of the type. Set it before you rename a type whose jobs are stored.
    static var name: String { get }

    /// The settings of jobs of this type. The default is `JobOptions()`.
    static var options: JobOptions { get }

    /// The key that excludes other jobs of this type by ``JobOptions/uniqueness``; `nil`, the default, for
    /// none.
    var uniqueKey: String? { get }

    /// The key of the jobs that share a ``JobLimit``, such as the number of a customer; `nil`, the
    /// default, for none.
    var limitKey: String? { get }

    /// Performs the job.
    ///
    /// When the method returns, the job is completed. A thrown ``JobInterruption`` determines what
    /// happens to the job. After any other error, the job is retried according to
    /// ``JobOptions/retry``.
    ///
    /// The task is cancelled when the job times out, is cancelled by request, loses its lease, or when the
    /// worker stops.
    func perform(_ context: JobContext) async throws
}

extension Job {
    /// The name of the type.
    public static var name: String { String(describing: Self.self) }

    /// The default settings.
    public static var options: JobOptions { JobOptions() }

    /// No key.
    public var uniqueKey: String? { nil }

    /// No key.
    public var limitKey: String? { nil }
}

extension NewJob {
    /// Encodes a job.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments`` if the job cannot be encoded.
    package init<Work: Job>(
        _ job: Work, options: JobOptions? = nil, dueAt: JobTime? = nil
    ) throws(JobsError) {
        let data: Data
        do {
            data = try JobCoding.encoder.encode(job)
        } catch {
            throw JobsError(
                .invalidArguments, "cannot encode the arguments of job '\(Work.name)': \(error)")
        }
        self.init(
            name: Work.name, arguments: String(decoding: data, as: UTF8.self),
            options: options ?? Work.options, uniqueKey: job.uniqueKey,
            limitKey: job.limitKey, dueAt: dueAt)
    }
}

/// The JSON of arguments and outputs.
enum JobCoding {
    static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return encoder
    }()
    static let decoder = JSONDecoder()
}
