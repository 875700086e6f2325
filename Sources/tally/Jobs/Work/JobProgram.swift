import Foundation
import Glibc
import NSQJobs

/// The program that performs jobs, and its limits.
struct JobProgram: Sendable {
    /// The limits of one run.
    struct Limits: Sendable {
        /// The maximum duration; `nil` for none.
        var time: Duration?
        /// The maximum resident memory of the program and its children together, in bytes; `nil` for
        /// none.
        var memoryBytes: Int?
        /// The time from SIGTERM to SIGKILL when a run must end.
        var killDelay = Duration.seconds(2)
    }

    /// The path of the program.
    let path: String
    /// The words of its command line, including the name of the program.
    let words: [String]
    var limits: Limits

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

    /// The environment of a run: that of this process, and variables about the job.
    func environment(of job: JobRecord) -> [String] {
        var variables = ProcessInfo.processInfo.environment
        variables["TALLY_JOB_ID"] = "\(job.id)"
        variables["TALLY_JOB_NAME"] = job.name
        variables["TALLY_JOB_QUEUE"] = job.queue
        variables["TALLY_JOB_ATTEMPT"] = "\(job.attempt)"
        variables["TALLY_JOB_MAX_ATTEMPTS"] = "\(job.maxAttempts)"
        return variables.map { "\($0)=\($1)" }
    }
}

/// The failure of a program, whose text the job keeps.
struct ProgramFailure: Error, CustomStringConvertible {
    let description: String
}

/// How a run of a program ended.
struct ProgramEnd: Sendable, Equatable {
    enum Reason: Sendable, Equatable {
        case exited(status: Int)
        case signaled(Int)
        case notStarted(errno: Int32)
        case overTime(Duration)
        case overMemory(bytes: Int, limit: Int)
        case cancelled
    }

    let reason: Reason
    /// The end of what the program has written to standard error.
    let errorText: String

    /// The exit status with which a program asks to run again later, `EX_TEMPFAIL`.
    static let snoozeStatus = 75

    /// The error of a job whose program ended so.
    var failure: String {
        errorText.isEmpty ? cause : "\(cause): \(errorText)"
    }

    private var cause: String {
        switch reason {
        case .exited(let status): "exit status \(status)"
        case .signaled(let number): "ended by signal \(number) (\(Self.name(ofSignal: number)))"
        case .notStarted(let error): "cannot start the program: \(String(cString: strerror(error)))"
        case .overTime(let limit): "ran longer than \(limit) and was ended"
        case .overMemory(let bytes, let limit):
            "used \(Self.mebibytes(bytes)) of memory, more than \(Self.mebibytes(limit)), and was "
                + "killed"
        case .cancelled: "cancelled"
        }
    }

    private static func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }

    private static func name(ofSignal number: Int) -> String {
        String(cString: strsignal(Int32(truncatingIfNeeded: number)))
    }
}
