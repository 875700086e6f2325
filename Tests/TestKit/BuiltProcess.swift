import Foundation

/// The built binary at work: its output line by line, its end awaited, never left behind.
package final class BuiltProcess: @unchecked Sendable {
    // SAFETY: everything that changes after `init` is behind `lock`.
    private let process = Process()
    private let lock = NSCondition()
    private var output: [Stream: [String]] = [.standardOutput: [], .standardError: []]
    private var openStreams = 2

    package enum Stream: Sendable { case standardOutput, standardError }

    /// The `tally` that was built along with the tests.
    package static var tally: URL {
        // The test bundle lies beside the products it was built with.
        Bundle.allBundles.map(\.bundleURL).first { $0.pathExtension == "xctest" }?
            .deletingLastPathComponent().appending(component: "tally")
            ?? URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appending(component: "tally")
    }

    /// Starts `executable`, the built `tally` unless another is named.
    package init(
        _ arguments: [String], executable: URL = BuiltProcess.tally,
        environment: [String: String] = [:], input: String? = nil, directory: URL? = nil
    ) throws {
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let directory { process.currentDirectoryURL = directory }
        let (out, error) = (Pipe(), Pipe())
        process.standardOutput = out
        process.standardError = error
        let feed = input.map { _ in Pipe() }
        process.standardInput = feed ?? FileHandle.nullDevice
        try process.run()
        read(out, as: .standardOutput)
        read(error, as: .standardError)
        if let feed, let input {
            feed.fileHandleForWriting.write(Data(input.utf8))
            try feed.fileHandleForWriting.close()
        }
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    package var processID: Int32 { process.processIdentifier }

    package func send(_ signal: Int32) {
        kill(process.processIdentifier, signal)
    }

    /// Waits for the end.
    ///
    /// - Returns: the exit status; that of a signal is its number, negative.
    package func status() -> Int32 {
        process.waitUntilExit()
        lock.withLock {
            while openStreams > 0 { lock.wait() }
        }
        let status = process.terminationStatus
        return process.terminationReason == .uncaughtSignal ? -status : status
    }

    package func lines(of stream: Stream) -> [String] {
        lock.withLock { output[stream]! }
    }

    /// Waits for a line that holds `text`.
    ///
    /// - Returns: the line, or `nil` if the stream ended without one, or `timeout` has passed.
    package func line(
        containing text: String, of stream: Stream = .standardError, timeout: TimeInterval = 20
    ) -> String? {
        let deadline = Date(timeIntervalSinceNow: timeout)
        return lock.withLock {
            while true {
                if let line = output[stream]!.first(where: { $0.contains(text) }) { return line }
                guard openStreams > 0, lock.wait(until: deadline) else { return nil }
            }
        }
    }

    private func read(_ pipe: Pipe, as stream: Stream) {
        let handle = pipe.fileHandleForReading
        Thread.detachNewThread { [self] in
            var rest = Data()
            while let chunk = try? handle.read(upToCount: 65_536), !chunk.isEmpty {
                rest.append(chunk)
                while let end = rest.firstIndex(of: 0x0a) {
                    append(rest[rest.startIndex..<end], to: stream)
                    rest = Data(rest[(end + 1)...])
                }
            }
            if !rest.isEmpty { append(rest, to: stream) }
            lock.withLock {
                openStreams -= 1
                lock.broadcast()
            }
        }
    }

    private func append(_ line: Data, to stream: Stream) {
        lock.withLock {
            output[stream]!.append(String(decoding: line, as: UTF8.self))
            lock.broadcast()
        }
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
