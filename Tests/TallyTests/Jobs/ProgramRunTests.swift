import Foundation
import TestKit
import Testing

@testable import tally

@Suite struct `A run of a program` {
    private func run(
        _ words: [String], input: String = "",
        _ change: (inout JobProgram.Limits) -> Void = { _ in }
    ) async throws -> ProgramEnd {
        var limits = JobProgram.Limits()
        change(&limits)
        let program = try JobProgram(words, limits: limits)
        return await ProgramRun.run(program, input: Array(input.utf8), environment: ["A=b"])
    }

    @Test func `reports the exit status, and has the input and the environment`() async throws {
        let script = #"read line; [ "$line $A" = "text b" ] && exit 4"#
        let end = try await run(["sh", "-c", script], input: "text\n")
        #expect(end == ProgramEnd(reason: .exited(status: 4), errorText: ""))
    }

    @Test func `reports a signal and the end of standard error`() async throws {
        let end = try await run(["sh", "-c", "echo ' why ' >&2; kill -9 $$"])
        #expect(end == ProgramEnd(reason: .signaled(9), errorText: "why"))
    }

    @Test func `reports that a file is no program`() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path("no-program")
        #expect(FileManager.default.createFile(atPath: path, contents: Data([0, 1])))
        chmod(path, 0o700)
        let end = try await run([path])
        #expect(end.reason == .notStarted(errno: ENOEXEC))
        #expect(end.failure == "cannot start the program: Exec format error")
    }

    @Test func `ends with its task`() async throws {
        let task = Task { try await run(["sleep", "60"]) }
        task.cancel()
        #expect(try await task.value.reason == .cancelled)
    }

    @Test func `succeeds if it ends with success while it is being ended`() async throws {
        let end = try await run(["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done"]) {
            $0.time = .milliseconds(300)
        }
        #expect(end.reason == .exited(status: 0))
    }

    @Test func `is killed if it ignores SIGTERM`() async throws {
        let end = try await run(["sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"]) {
            $0.time = .milliseconds(200)
            $0.killDelay = .milliseconds(50)
        }
        #expect(end.reason == .overTime(.milliseconds(200)))
    }

    @Test func `kills the processes that the program leaves behind`() async throws {
        let end = try await run(["sh", "-c", "sleep 60 & echo $! >&2"])
        let process = try #require(Int32(end.errorText))
        // A killed process may exist as a zombie until its new parent collects its status.
        let state = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        #expect(state.map { $0.contains(") Z ") || $0.contains(") X ") } ?? true)
    }

    @Test func `has a program that exists`() {
        for words in [["/"], ["/none"], ["no-such-program-at-all"], [""], []] {
            #expect(throws: UsageError.self) { try JobProgram(words, limits: .init()) }
        }
    }
}

@Suite struct `The end of standard error` {
    @Test func `is at most 4 KiB of whole characters`() {
        var tail = ErrorTail()
        tail.append(Array("\n short \n".utf8))
        #expect(tail.text == "short")
        for _ in 0..<3_000 { tail.append(Array("é".utf8)) }
        tail.append(Array("x".utf8))
        #expect(tail.text.hasPrefix("…é") && tail.text.hasSuffix("éx"))
        #expect(tail.text.utf8.count == ErrorTail.maxBytes - 1 + "…".utf8.count)
    }
}
