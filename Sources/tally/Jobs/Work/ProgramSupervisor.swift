import CProcess
import Glibc
import UVLoop

/// Supervises one program on the thread that has started it.
struct ProgramSupervisor {
    /// The standard streams of a program, except standard error.
    struct Streams: Sendable {
        let input: RunDescriptor
        /// The standard output; `nil` to use that of this process.
        let output: RunDescriptor?
    }

    private let limits: JobProgram.Limits
    private let group: Int32
    private let report: RunDescriptor
    private let error: RunDescriptor
    private let cancellation: RunDescriptor
    private let start = ContinuousClock.now
    private var tail = ErrorTail()
    private var isErrorOpen = true
    private var isCancelled = false
    /// The reason why the program is being ended; `nil` while it may run.
    private var ending: ProgramEnd.Reason?
    /// The time of SIGKILL for a program that is being ended.
    private var killAt: ContinuousClock.Instant?

    /// The time between two checks of the memory.
    private static let memoryInterval = Duration.milliseconds(250)
    /// The maximum time to wait for the end of standard error after the end of the program. Without
    /// a limit, a process that has left the process group could hold it open forever.
    private static let drainTime = Duration.milliseconds(100)

    /// Starts the program.
    ///
    /// - Parameters:
    ///   - streams: set to `nil` after the start, so that only the program keeps the streams open.
    ///   - cancellation: a descriptor that becomes readable when the program must be ended.
    /// - Throws: the error of a system call.
    init(
        _ program: JobProgram, _ streams: LockedValue<Streams?>, environment: [String],
        _ cancellation: RunDescriptor
    ) throws(UVError) {
        limits = program.limits
        self.cancellation = cancellation
        let (report, error) = (try RunDescriptor.pipe(), try RunDescriptor.pipe())
        (self.report, self.error) = (report.reading, error.reading)
        let taken = streams.withLock { streams in
            defer { streams = nil }
            return streams
        }
        guard let taken else { preconditionFailure("a program starts once") }
        group = try Self.start(
            program, environment, taken, error: error.writing.number,
            report: report.writing.number)
    }

    private static func start(
        _ program: JobProgram, _ environment: [String], _ streams: Streams, error: Int32,
        report: Int32
    ) throws(UVError) -> Int32 {
        let words = (program.words.map { strdup($0) } + [nil])
        let variables = (environment.map { strdup($0) } + [nil])
        defer { for text in words + variables { free(text) } }
        let guardID = program.path.withCString { path in
            words.withUnsafeBufferPointer { words in
                variables.withUnsafeBufferPointer { variables in
                    var start = guarded_program(
                        path: path, arguments: words.baseAddress,
                        environment: variables.baseAddress, input: streams.input.number,
                        error: error, output: streams.output?.number ?? -1, report: report)
                    return guarded_program_start(&start)
                }
            }
        }
        guard guardID > 0 else { throw UVError(code: -errno) }
        return guardID
    }

    /// Waits for the end of the program.
    consuming func supervise() -> ProgramEnd {
        var supervision = self
        let report = supervision.waitForReport()
        supervision.drainError(until: .now + Self.drainTime)
        // Usually the guard process has killed the group already, but the program may have killed
        // the guard.
        kill(-supervision.group, SIGKILL)
        var status: Int32 = 0
        while waitpid(supervision.group, &status, 0) < 0, errno == EINTR {}
        let reason = Self.reason(report)
        // If a program succeeds while it is being ended, it has done its work, so the run counts as
        // a success.
        let isSuccess = reason == .exited(status: 0)
        return ProgramEnd(
            reason: isSuccess ? reason : supervision.ending ?? reason,
            errorText: supervision.tail.text)
    }

    private static func reason(_ report: program_report?) -> ProgramEnd.Reason {
        guard let report else { return .signaled(Int(SIGKILL)) }
        guard report.kind == PROGRAM_ENDED.rawValue else {
            return .notStarted(errno: report.value)
        }
        let signal = report.value & 0x7f
        return signal == 0 ? .exited(status: Int(report.value >> 8 & 0xff)) : .signaled(Int(signal))
    }

    /// - Returns: the first report of the guard process; `nil` if the guard was killed.
    private mutating func waitForReport() -> program_report? {
        while true {
            // `poll` ignores negative descriptors.
            var files = [
                pollfd(fd: report.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isErrorOpen ? error.number : -1, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: isCancelled ? -1 : cancellation.number, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&files, 3, timeout)
            guard count >= 0 || errno == EINTR else { return nil }
            if count > 0 {
                if files[1].revents != 0 { readError() }
                if files[0].revents != 0 { return readReport() }
                if files[2].revents != 0 {
                    isCancelled = true
                    end(.cancelled)
                }
            }
            checkLimits()
        }
    }

    private func readReport() -> program_report? {
        var value = program_report()
        let size = MemoryLayout<program_report>.size
        // The report is complete, because a write of a few bytes to a pipe is atomic.
        return read(report.number, &value, size) == size ? value : nil
    }

    // MARK: Limits

    /// The time until the next check, in milliseconds.
    private var timeout: Int32 {
        let now = ContinuousClock.now
        var waits: [Duration] = []
        if let killAt { waits.append(killAt - now) }
        if ending == nil, let time = limits.time { waits.append(start + time - now) }
        if ending == nil, limits.memoryBytes != nil { waits.append(Self.memoryInterval) }
        guard let wait = waits.min() else { return -1 }
        let milliseconds = (wait / .milliseconds(1)).rounded(.up)
        return Int32(min(max(milliseconds, 0), 1_000_000))
    }

    private mutating func checkLimits() {
        let now = ContinuousClock.now
        if let killAt, now >= killAt {
            kill(-group, SIGKILL)
            self.killAt = nil
        }
        if let time = limits.time, now - start >= time { end(.overTime(time)) }
        if let limit = limits.memoryBytes, ending == nil {
            let bytes = ProcessGroupMemory.shared.bytes(ofGroup: group)
            if bytes > limit {
                ending = .overMemory(bytes: bytes, limit: limit)
                kill(-group, SIGKILL)
            }
        }
    }

    /// Sends SIGTERM to the program, unless it is being ended already.
    private mutating func end(_ reason: ProgramEnd.Reason) {
        guard ending == nil else { return }
        ending = reason
        kill(-group, SIGTERM)
        killAt = .now + limits.killDelay
    }

    // MARK: Standard error

    /// Reads from the program's standard error once, and copies the bytes to the standard error of
    /// this process.
    private mutating func readError() {
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = read(error.number, &bytes, bytes.count)
        if count > 0 {
            tail.append(bytes[..<count])
            _ = write(STDERR_FILENO, bytes, count)
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            isErrorOpen = false
        }
    }

    private mutating func drainError(until end: ContinuousClock.Instant) {
        while isErrorOpen, ContinuousClock.now < end {
            var file = pollfd(fd: error.number, events: Int16(POLLIN), revents: 0)
            if poll(&file, 1, 10) > 0 { readError() }
        }
    }
}

/// Stores the end of a text that arrives in pieces.
struct ErrorTail {
    /// The maximum size of the stored text, in bytes.
    static let maxBytes = 4 << 10

    private var bytes: [UInt8] = []
    private var isCut = false

    mutating func append(_ piece: some Collection<UInt8>) {
        bytes += piece
        guard bytes.count > Self.maxBytes else { return }
        isCut = true
        bytes.removeFirst(bytes.count - Self.maxBytes)
    }

    /// The end of the text, without white space around it.
    var text: String {
        var kept = bytes[...]
        // The text may have been cut within a character, so its remaining bytes are removed.
        if isCut { kept = kept.drop { $0 & 0xc0 == 0x80 } }
        let text = String(decoding: kept, as: UTF8.self)
        let trimmed = text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace)
        return (isCut ? "…" : "") + String(trimmed.reversed())
    }
}
