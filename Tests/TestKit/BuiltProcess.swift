import Foundation

/// A child process, by default the built binary. It stores the output line by line, and kills the
/// process when it is released.
///
/// It uses `posix_spawn` and `waitpid`, because Foundation's `Process` detects the end of a child
/// with a socket that other children inherit. With several children, it may never detect the end.
package final class BuiltProcess: Sendable {
    package let processID: Int32
    private let outcome: Outcome

    package enum Stream: Sendable { case standardOutput, standardError }

    private static let spawning = NSLock()

    /// The `tally` binary that was built with the tests.
    package static let tally = URL(filePath: CommandLine.arguments[0])
        .deletingLastPathComponent().appending(component: "tally")

    /// Starts a program, by default the built `tally`.
    ///
    /// - Parameter listeners: the program has their sockets as the descriptors from 3 on.
    package init(
        _ arguments: [String], executable: URL = BuiltProcess.tally,
        environment: [String: String] = [:], directory: URL? = nil,
        passing listeners: [BlockingListener] = []
    ) throws {
        // Without the lock, another child could inherit a pipe before its close-on-exec flag is set.
        Self.spawning.lock()
        defer { Self.spawning.unlock() }
        Self.closeAllOnExec()
        let (out, error) = (try ClosingPipe(), try ClosingPipe())
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out.writing, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, error.writing, STDERR_FILENO)
        // High numbers first, so that no copy replaces a descriptor that is still to be copied.
        let high = listeners.map { fcntl($0.descriptor, F_DUPFD_CLOEXEC, 64) }
        defer { for copy in high { close(copy) } }
        for (index, copy) in high.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, copy, 3 + Int32(index))
        }
        // `env` changes the folder and then executes the program with the same process ID.
        let change = directory.map { ["/usr/bin/env", "-C", $0.path] } ?? []
        let words = CStrings(change + [executable.path] + arguments)
        let variables = CStrings(
            ProcessInfo.processInfo.environment.merging(environment) { $1 }
                .map { "\($0)=\($1)" })
        var child: Int32 = 0
        let status = posix_spawn(
            &child, change.first ?? executable.path, &actions, nil, words.pointers,
            variables.pointers)
        close(out.writing)
        close(error.writing)
        guard status == 0 else {
            close(out.reading)
            close(error.reading)
            throw POSIXError(POSIXErrorCode(rawValue: status) ?? .ENOENT)
        }
        processID = child
        outcome = Outcome()
        outcome.read(out.reading, as: .standardOutput)
        outcome.read(error.reading, as: .standardError)
        outcome.await(child)
    }

    /// Sets the close-on-exec flag of all descriptors, because sockets of other tests may lack it.
    private static func closeAllOnExec() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for case let number? in names.map({ Int32($0) }) where number > STDERR_FILENO {
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        if outcome.isRunning { send(SIGKILL) }
    }

    package func send(_ signal: Int32) {
        kill(processID, signal)
    }

    /// Waits for the end of the process and of its output.
    ///
    /// - Returns: the exit status, or the negative number of the signal that ended the process; `nil`
    ///   if the process has not ended after `timeout` seconds.
    package func status(timeout: TimeInterval = longestWait) -> Int32? {
        outcome.wait(timeout) { $0.openStreams == 0 ? $0.status : nil }
    }

    /// Waits for the end of the output.
    ///
    /// - Returns: all lines of the stream.
    package func lines(of stream: Stream) -> [String] {
        datedLines(of: stream).map(\.text)
    }

    /// Waits for the end of the output.
    ///
    /// - Returns: all lines of the stream, each with the time of its arrival.
    package func datedLines(of stream: Stream) -> [(date: Date, text: String)] {
        outcome.wait(longestWait) { $0.openStreams == 0 ? $0.lines[stream] : nil } ?? []
    }

    /// The lines of a process that still runs. Output that the process has written may be missing,
    /// so a test must not expect a line here without waiting for it.
    package func linesSoFar(of stream: Stream) -> [String] {
        outcome.lines(of: stream).map(\.text)
    }

    /// The lines of a process that still runs, each with the time of its arrival; see
    /// ``linesSoFar(of:)``.
    package func datedLinesSoFar(of stream: Stream) -> [(date: Date, text: String)] {
        outcome.lines(of: stream)
    }

    /// Waits for a line that contains `text`.
    ///
    /// - Returns: the line; `nil` if the output ends without one, or after `timeout` seconds.
    package func line(
        containing text: String, of stream: Stream = .standardError,
        timeout: TimeInterval = longestWait
    ) -> String? {
        let found: String?? = outcome.wait(timeout) { state in
            let line = state.lines[stream]!.first { $0.text.contains(text) }
            return line == nil && state.openStreams > 0 ? nil : .some(line?.text)
        }
        return found ?? nil
    }
}

/// The output and the status of a child. The threads that read them retain it.
// SAFETY: the condition guards all state.
private final class Outcome: @unchecked Sendable {
    struct State {
        var lines: [BuiltProcess.Stream: [(date: Date, text: String)]] = [
            .standardOutput: [], .standardError: [],
        ]
        var openStreams = 2
        var status: Int32?
    }

    private let condition = NSCondition()
    private var state = State()

    var isRunning: Bool { condition.withLock { state.status == nil } }

    func lines(of stream: BuiltProcess.Stream) -> [(date: Date, text: String)] {
        condition.withLock { state.lines[stream]! }
    }

    /// Waits until `look` returns a value.
    func wait<Found>(_ timeout: TimeInterval, for look: (State) -> Found?) -> Found? {
        let deadline = Date(timeIntervalSinceNow: timeout)
        return condition.withLock {
            while true {
                if let found = look(state) { return found }
                guard condition.wait(until: deadline) else { return nil }
            }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        condition.withLock {
            body(&state)
            condition.broadcast()
        }
    }

    func await(_ child: Int32) {
        Thread.detachNewThread { [self] in
            var status: Int32 = 0
            while waitpid(child, &status, 0) == -1, errno == EINTR {}
            let signal = status & 0x7f
            change { $0.status = signal == 0 ? status >> 8 & 0xff : -signal }
        }
    }

    func read(_ descriptor: Int32, as stream: BuiltProcess.Stream) {
        Thread.detachNewThread { [self] in
            var rest: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = Foundation.read(descriptor, &chunk, chunk.count)
                let date = Date()
                guard count > 0 else { break }
                rest += chunk[..<count]
                var lines = rest.split(separator: 0x0a, omittingEmptySubsequences: false)
                rest = Array(lines.removeLast())
                let texts = lines.map { (date, String(decoding: $0, as: UTF8.self)) }
                change { $0.lines[stream]! += texts }
            }
            close(descriptor)
            change {
                if !rest.isEmpty {
                    $0.lines[stream]!.append((Date(), String(decoding: rest, as: UTF8.self)))
                }
                $0.openStreams -= 1
            }
        }
    }
}

/// A pipe whose ends are closed in other children.
private struct ClosingPipe {
    let reading: Int32
    let writing: Int32

    init() throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EMFILE)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reading, writing) = (ends[0], ends[1])
    }
}

/// C strings, as an array of pointers that ends with a null pointer.
private final class CStrings {
    let pointers: [UnsafeMutablePointer<CChar>?]

    init(_ texts: [String]) {
        pointers = texts.map { strdup($0) } + [nil]
    }

    deinit {
        for pointer in pointers { free(pointer) }
    }
}

extension BuiltProcess {
    /// Starts a program that listens for TCP, and waits until its log contains the address.
    ///
    /// - Returns: the process and its address.
    package static func listening(
        _ arguments: [String], executable: URL = BuiltProcess.tally,
        environment: [String: String] = [:], directory: URL? = nil,
        mark: String = "TCP: listening on "
    ) throws -> (process: BuiltProcess, address: String) {
        let process = try BuiltProcess(
            arguments, executable: executable, environment: environment, directory: directory)
        guard let line = process.line(containing: mark), let range = line.range(of: mark) else {
            throw NotListening(lines: process.linesSoFar(of: .standardError))
        }
        return (process, String(line[range.upperBound...]))
    }

    /// The standard error of a process that ended or was silent instead of listening.
    package struct NotListening: Error {
        package let lines: [String]
    }
}

extension BuiltProcess {
    /// Starts `tally nsqd` on free ports. Messages are stored in memory only, unless the arguments
    /// name a data path.
    package static func broker(
        _ arguments: [String] = []
    ) throws -> (process: BuiltProcess, address: String) {
        let hasDataPath = arguments.contains { $0.hasPrefix("--data-path=") }
        return try listening(
            ["nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"]
                + (hasDataPath ? [] : ["--memory-only"]) + arguments)
    }
}
