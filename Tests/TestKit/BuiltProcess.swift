import Foundation

/// The built binary at work: its output line by line, its end awaited, never left behind.
///
/// By `posix_spawn` and `waitpid`: Foundation's `Process` learns of a child's end by a socket that
/// other children inherit, so that of several at once some never end for it.
package final class BuiltProcess: Sendable {
    package let processID: Int32
    private let outcome: Outcome

    package enum Stream: Sendable { case standardOutput, standardError }

    private static let spawning = NSLock()

    /// The `tally` that was built along with the tests.
    package static let tally = URL(filePath: CommandLine.arguments[0])
        .deletingLastPathComponent().appending(component: "tally")

    /// Starts `executable`, the built `tally` unless another is named.
    package init(
        _ arguments: [String], executable: URL = BuiltProcess.tally,
        environment: [String: String] = [:], directory: URL? = nil
    ) throws {
        // One at a time, or another child could inherit a pipe before it is marked.
        Self.spawning.lock()
        defer { Self.spawning.unlock() }
        let (out, error) = (try ClosingPipe(), try ClosingPipe())
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out.writing, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, error.writing, STDERR_FILENO)
        // `env` goes there and then becomes the program, with the same pid.
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

    deinit {
        if outcome.isRunning { send(SIGKILL) }
    }

    package func send(_ signal: Int32) {
        kill(processID, signal)
    }

    /// Waits for the end, and for all of the output.
    ///
    /// - Returns: the exit status; that of a signal is its number, negative; `nil` after `timeout`.
    package func status(timeout: TimeInterval = 60) -> Int32? {
        outcome.wait(timeout) { $0.openStreams == 0 ? $0.status : nil }
    }

    package func lines(of stream: Stream) -> [String] {
        outcome.lines(of: stream).map(\.text)
    }

    /// The lines, and when each had come.
    package func datedLines(of stream: Stream) -> [(date: Date, text: String)] {
        outcome.lines(of: stream)
    }

    /// Waits for a line that holds `text`.
    ///
    /// - Returns: the line, or `nil` if all ended without one, or `timeout` has passed.
    package func line(
        containing text: String, of stream: Stream = .standardError, timeout: TimeInterval = 60
    ) -> String? {
        let found: String?? = outcome.wait(timeout) { state in
            let line = state.lines[stream]!.first { $0.text.contains(text) }
            return line == nil && state.openStreams > 0 ? nil : .some(line?.text)
        }
        return found ?? nil
    }
}

/// What is known of a child by now. Its threads keep it, not the process's owner.
// SAFETY: everything is behind the condition.
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

    /// Waits until `look` finds what it looks for.
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

/// A pipe whose ends no other child inherits.
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

/// Texts as C wants them: a list of pointers that ends with none.
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
    /// Starts `tally` with `arguments`, which make it listen, and waits until it does.
    ///
    /// - Returns: the process and the address that its log names.
    package static func listening(
        _ arguments: [String], executable: URL = BuiltProcess.tally,
        environment: [String: String] = [:], directory: URL? = nil
    ) throws -> (process: BuiltProcess, address: String) {
        let process = try BuiltProcess(
            arguments, executable: executable, environment: environment, directory: directory)
        let mark = "TCP: listening on "
        guard let line = process.line(containing: mark), let range = line.range(of: mark) else {
            throw NotListening(lines: process.lines(of: .standardError))
        }
        return (process, String(line[range.upperBound...]))
    }

    /// What a process said that was to listen and did not.
    package struct NotListening: Error {
        package let lines: [String]
    }
}

extension BuiltProcess {
    /// Starts `tally nsqd` on free ports.
    package static func broker(
        _ arguments: [String] = []
    ) throws -> (process: BuiltProcess, address: String) {
        try listening(
            ["nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"] + arguments)
    }
}
