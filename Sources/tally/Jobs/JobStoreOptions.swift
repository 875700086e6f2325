import ArgumentParser
import Foundation
import NSQJobs

/// The options of all commands that use a job store.
struct JobStoreOptions: ParsableArguments {
    @Option(help: "The SQLite file with the jobs.")
    var store = "jobs.sqlite"

    @Flag(help: "Print one JSON object.")
    var json = false

    /// Opens the store, and closes it after `body`.
    ///
    /// - Parameter creates: `true` to create the file if it does not exist.
    /// - Throws: `UsageError` if the file does not exist, an error of the store, or an error of
    ///   `body`.
    func withJobs<Result>(
        creates: Bool = false, _ body: (Jobs) async throws -> Result
    ) async throws -> Result {
        guard creates || FileManager.default.fileExists(atPath: store) else {
            throw UsageError(
                "the job store '\(store)' does not exist (pass another --store, or store a job with "
                    + "tally jobs enqueue)")
        }
        let jobs = try await Jobs(store: .sqlite(store))
        do {
            let result = try await body(jobs)
            await jobs.stop()
            return result
        } catch {
            await jobs.stop()
            throw error
        }
    }

    /// Prints the JSON if `--json` is given, and otherwise the text.
    func print(json bytes: @autoclosure () -> [UInt8], text: @autoclosure () -> String) {
        StandardOutput.print(json ? String(decoding: bytes(), as: UTF8.self) : text())
    }
}

extension JobID: ExpressibleByArgument {}

extension JobBatchID: ExpressibleByArgument {}

extension JobDependencies.FailurePolicy: ExpressibleByArgument {
    /// Finds a policy by its name.
    public init?(argument: String) { self.init(argument) }

    /// The names of the policies.
    public static var allValueStrings: [String] { allCases.map(\.description) }

    /// The name in the help, instead of the raw value.
    public var defaultValueDescription: String { description }
}

extension JobState: ExpressibleByArgument {
    /// Finds a state by its name.
    public init?(argument: String) { self.init(argument) }

    /// The names of the states.
    public static var allValueStrings: [String] { allCases.map(\.description) }
}

extension JobPriority: ExpressibleByArgument {
    /// Finds a priority by its name.
    public init?(argument: String) { self.init(argument) }

    /// The names of the priorities.
    public static var allValueStrings: [String] { allCases.map(\.description) }

    /// The name in the help, instead of the raw value.
    public var defaultValueDescription: String { description }
}

/// The options for the time before which a job does not run.
struct DueOptions: ParsableArguments {
    @Option(
        name: .customLong("in"),
        help: "Run the job after this time, such as 90s, 15m or 2h.",
        transform: GoDuration.init(flag:))
    var delay: GoDuration?

    @Option(
        help: "Run the job at this time by ISO 8601, such as 2026-01-31T12:00:00Z.",
        transform: DueOptions.time)
    var at: JobTime?

    func validate() throws {
        guard delay == nil || at == nil else {
            throw ValidationError("--in and --at cannot be combined")
        }
        if let delay { try require("--in", delay, atLeast: "0s") }
    }

    private static func time(_ text: String) throws -> JobTime {
        guard let time = JobTime(iso8601: text) else {
            throw ValidationError(
                "use a time by ISO 8601 with a time zone, such as 2026-01-31T12:00:00Z")
        }
        return time
    }

    /// Returns the time before which the job does not run; `nil` if neither option is given.
    func dueAt(_ now: JobTime) -> JobTime? { at ?? delay.map { now + $0.duration } }
}

extension JobTime {
    /// The time on the wall clock.
    static var now: JobTime { JobTime(.now) }
}
