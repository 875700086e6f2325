import Foundation
import Glibc
import NSQJobs

/// The program that performs jobs, and its limits.
struct JobProgram: Sendable {
    /// The limits of one run.
    struct Limits: Sendable {
        /// The maximum duration; `nil` means no limit.
        var time: Duration?
        /// The maximum resident memory of the program and its children together, in bytes; `nil`
        /// means no limit.
        var memoryBytes: Int?
        /// When a run must end, the time between SIGTERM and SIGKILL.
        var killDelay = Duration.seconds(2)
    }

    let path: String
    /// The words of its command line, including the name of the program.
    let words: [String]
    var limits: Limits
    /// The absolute path of the store with the jobs; `nil` if programs cannot use it.
    var store: String?

    /// Finds a program as a shell does.
    ///
    /// - Parameter words: the name or path of the program, and its arguments.
    /// - Throws: `UsageError` if there is no such program, or if it may not be executed.
    init(_ words: [String], limits: Limits) throws {
        guard let name = words.first, !name.isEmpty else {
            throw UsageError("missing program (pass it after --)")
        }
        self.words = words
        self.limits = limits
        path = try Self.path(of: name)
    }

    private static func path(of name: String) throws -> String {
        let folders = (getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin")
            .split(separator: ":", omittingEmptySubsequences: false)
        let candidates =
            name.contains("/")
            ? [name] : folders.map { ($0.isEmpty ? "." : String($0)) + "/" + name }
        if let found = candidates.first(where: isProgram) { return found }
        throw UsageError("cannot find program '\(name)', or it is not executable")
    }

    private static func isProgram(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
            && !isFolder.boolValue && access(path, X_OK) == 0
    }

    /// The environment of a program that performs several jobs: the environment of this process
    /// without its trace context, which has nothing to do with the jobs.
    static var environmentOfPersistent: [String] {
        ProcessInfo.processInfo.environment.filter {
            !["TRACEPARENT", "TRACESTATE"].contains($0.key)
        }
        .map { "\($0)=\($1)" }
    }

    /// The environment of a run: the environment of this process, with additional variables that
    /// describe the job.
    func environment(of job: JobRecord) -> [String] {
        var variables = ProcessInfo.processInfo.environment
        variables["TALLY_JOB_ID"] = "\(job.id)"
        variables["TALLY_JOB_NAME"] = job.name
        variables["TALLY_JOB_QUEUE"] = job.queue
        variables["TALLY_JOB_ATTEMPT"] = "\(job.attempt)"
        variables["TALLY_JOB_MAX_ATTEMPTS"] = "\(job.maxAttempts)"
        variables["TALLY_JOB_STORE"] = store
        variables["TALLY_JOB_VERSION"] = "\(job.version)"
        // The trace context of the job replaces the trace context of this process.
        let context = job.w3cContext
        variables["TRACEPARENT"] = context["traceparent"]
        variables["TRACESTATE"] = context["tracestate"]
        return variables.map { "\($0)=\($1)" }
    }
}

extension JobRecord {
    /// The job's trace context as `traceparent` and `tracestate`; empty if it is not valid. It is
    /// validated because any program can publish the message of a fleeting job.
    var w3cContext: [String: String] {
        TraceContext.w3c(parent: traceContext["traceparent"], state: traceContext["tracestate"])
    }
}
