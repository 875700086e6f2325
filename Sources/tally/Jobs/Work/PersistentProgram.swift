import Dispatch
import Glibc
import UVLoop

/// A program that keeps running and performs one job after the other. It reads a line for each job
/// from standard input, and answers with a line on standard output.
///
/// ``JobLine`` and ``JobAnswer`` define the format of the lines. A program that has ended or
/// violated the protocol is not used again.
final class PersistentProgram: Sendable {
    /// The maximum length of an answer in bytes.
    static let maxAnswerBytes = 1 << 20
    /// The maximum time to wait for the end of a program that has closed its standard output.
    private static let endTimeout = Duration.milliseconds(500)

    private let limits: JobProgram.Limits
    private let input: LockedValue<RunDescriptor?>
    private let output: RunDescriptor
    private let end: Task<ProgramEnd, Never>
    private let isUnusable = LockedValue(false)
    /// Reads and writes run on this queue, because they block, and must not block a thread of
    /// Swift's cooperative pool.
    private let queue = DispatchQueue(label: "tally.persistent-program")
    /// The bytes that were read after the last answer.
    private let rest = LockedValue<[UInt8]>([])

    /// Starts a program. The memory limit applies to its whole life, and the time limit to each
    /// job.
    ///
    /// - Throws: the error of a system call.
    init(_ program: JobProgram, environment: [String]) throws(UVError) {
        limits = program.limits
        let (input, output) = (try RunDescriptor.pipe(), try RunDescriptor.pipe())
        // `pipe()` makes reading ends non-blocking. The program and this process both read with
        // blocking calls, so the mode is reset.
        _ = fcntl(input.reading.number, F_SETFL, 0)
        _ = fcntl(output.reading.number, F_SETFL, 0)
        self.input = LockedValue(input.writing)
        self.output = output.reading
        var unlimited = program
        unlimited.limits.time = nil
        // This process passes its copies of the program's ends of the pipes to the run, which
        // releases them after the start. Then only the program keeps these ends open.
        let streams = LockedValue<ProgramSupervisor.Streams?>(
            .init(input: input.reading, output: output.writing))
        end = Task { [unlimited, isUnusable] in
            let end = await ProgramRun.run(unlimited, streams, environment: environment)
            isUnusable.withLock { $0 = true }
            return end
        }
    }

    deinit { end.cancel() }

    /// `true` if no further job can be performed.
    var hasEnded: Bool { isUnusable.withLock { $0 } }

    /// The time by which the program must have answered a job that starts now; `nil` if there is no
    /// limit.
    var deadline: ContinuousClock.Instant? { limits.time.map { .now + $0 } }

    /// Sends a line, and waits for the answer. If the task is cancelled or the deadline passes, the
    /// program is killed.
    ///
    /// - Returns: the line of the answer.
    /// - Throws: ``ProgramFailure`` with the reason why the program ended, or `CancellationError`.
    func exchange(
        _ line: [UInt8], until deadline: ContinuousClock.Instant?
    ) async throws -> [UInt8] {
        let isOverTime = LockedValue(false)
        let timer = deadline.map { deadline in
            Task {
                try await Task.sleep(until: deadline, clock: .continuous)
                isOverTime.withLock { $0 = true }
                self.kill()
            }
        }
        defer { timer?.cancel() }
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                queue.async { waiter.resume(returning: self.answer(to: line)) }
            }
        } onCancel: {
            kill()
        }
        guard let answer else {
            let end = await endWithoutAnswer()
            if Task.isCancelled { throw CancellationError() }
            guard !isOverTime.withLock({ $0 }), end.reason != .cancelled else {
                let reason = limits.time.map { ProgramEnd.Reason.overTime($0) } ?? .cancelled
                throw ProgramFailure(
                    description: ProgramEnd(reason: reason, errorText: end.errorText).failure)
            }
            throw ProgramFailure(description: "ended without an answer: \(end.failure)")
        }
        return answer
    }

    /// Ends the program without waiting, because it has violated the protocol or is not needed any
    /// more.
    func kill() {
        isUnusable.withLock { $0 = true }
        end.cancel()
    }

    /// Closes the standard input of the program, and waits for its end.
    func close() async {
        isUnusable.withLock { $0 = true }
        input.withLock { $0 = nil }
        await waitForEnd(atMost: limits.killDelay)
    }

    private func endWithoutAnswer() async -> ProgramEnd {
        isUnusable.withLock { $0 = true }
        return await waitForEnd(atMost: Self.endTimeout)
    }

    @discardableResult
    private func waitForEnd(atMost duration: Duration) async -> ProgramEnd {
        let timer = Task {
            try await Task.sleep(for: duration)
            end.cancel()
        }
        defer { timer.cancel() }
        return await end.value
    }

    // MARK: On the queue

    /// - Returns: `nil` if the program has closed a stream, or the answer is too long.
    private func answer(to line: [UInt8]) -> [UInt8]? {
        guard let input = input.withLock({ $0 }), Self.write(line, to: input) else { return nil }
        return readLine()
    }

    private static func write(_ bytes: [UInt8], to file: RunDescriptor) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { return false }
            rest = rest.dropFirst(max(0, count))
        }
        return true
    }

    private func readLine() -> [UInt8]? {
        var line = rest.withLock { $0 }
        var searched = 0
        while true {
            if let end = line[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                rest.withLock { $0 = Array(line[(end + 1)...]) }
                return Array(line[..<end])
            }
            searched = line.count
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            let count = read(output.number, &bytes, bytes.count)
            guard count > 0 || (count < 0 && errno == EINTR), searched <= Self.maxAnswerBytes
            else { return nil }
            line += bytes[..<max(0, count)]
        }
    }
}
