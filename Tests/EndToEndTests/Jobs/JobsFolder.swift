import Foundation
import TestKit
import Testing

/// A folder with a job store, and the commands of `tally jobs` that use it.
struct JobsFolder {
    let folder: TemporaryFolder
    let store: String

    init() throws {
        folder = try TemporaryFolder()
        store = folder.path("jobs.sqlite")
    }

    /// The members of a job that tests read.
    struct Job: Decodable {
        var id: Int
        var name: String
        var queue: String
        var state: String
        var priority: String
        var attempt: Int
        var max_attempts: Int
        var tags: [String]
        var note: String?
        var attempts: [Attempt]?

        struct Attempt: Decodable {
            var number: Int
            var result: String
            var error: String?
        }
    }

    struct Page: Decodable {
        var jobs: [Job]
        var next: Int?
    }

    struct Statistics: Decodable {
        struct Queue: Decodable {
            var queue: String
            var paused: Bool
            var limit, key_limit: Limit?
            var scheduled, available, running, retryable, completed, discarded, cancelled: Int
        }
        struct Limit: Decodable, Equatable {
            var concurrency: Int?
            var rate_starts: Int?
            var rate_seconds: Double?
        }
        struct Worker: Decodable {
            var name: String
            var running_jobs: [Int]
        }
        var queues: [Queue]
        var workers: [Worker]
    }

    /// Starts `tally jobs` with the store.
    func start(
        _ words: [String], environment: [String: String] = [:]
    ) throws -> BuiltProcess {
        let mark = words.firstIndex(of: "--") ?? words.endIndex
        return try BuiltProcess(
            ["jobs"] + words[..<mark] + ["--store=\(store)"] + words[mark...],
            environment: environment, directory: folder.url)
    }

    /// Runs a command that must succeed.
    ///
    /// - Returns: the lines of standard output.
    @discardableResult
    func run(_ words: String...) throws -> [String] {
        let process = try start(words)
        let status = process.status()
        #expect(status == 0, "\(words): \(process.lines(of: .standardError))")
        return process.lines(of: .standardOutput)
    }

    /// Runs a command that must fail.
    ///
    /// - Returns: the exit status and the standard error.
    func failure(_ words: [String]) throws -> (status: Int32?, text: String) {
        let process = try start(words)
        let status = process.status()
        return (status, process.lines(of: .standardError).joined(separator: "\n"))
    }

    private func json<Value: Decodable>(_ type: Value.Type, _ words: [String]) throws -> Value {
        let process = try start(words + ["--json"])
        #expect(process.status() == 0)
        let lines = process.lines(of: .standardOutput)
        #expect(lines.count == 1)
        return try Value(json: lines.joined().utf8)
    }

    func list(_ words: String...) throws -> Page { try json(Page.self, ["list"] + words) }
    func show(_ id: Int) throws -> Job { try json(Job.self, ["show", "\(id)"]) }
    func statistics() throws -> Statistics { try json(Statistics.self, ["stats"]) }

    /// Writes a file with one line for each number.
    func numbers(_ range: ClosedRange<Int>) throws -> String {
        let path = folder.path("numbers-\(range.lowerBound)")
        try range.map(String.init).joined(separator: "\n")
            .write(toFile: path, atomically: false, encoding: .utf8)
        return path
    }
}
