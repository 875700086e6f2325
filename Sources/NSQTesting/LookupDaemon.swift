import Foundation
import UVLoop

/// An nsqlookupd of a cluster: a process of the program that the environment variable
/// `NSQLOOKUPD_PROGRAM` names.
public final class LookupDaemon: Sendable {
    /// The reason why an nsqlookupd cannot be started.
    public struct Failure: Error, CustomStringConvertible, Sendable {
        /// A sentence with the program and the cause.
        public let description: String
    }

    /// The path of the program; `nil` if the environment names none.
    public static let program = ProcessInfo.processInfo.environment["NSQLOOKUPD_PROGRAM"]

    /// The address at which brokers register, as `host:port`.
    public let tcpAddress: String
    /// The address for clients, as `host:port`.
    public let httpAddress: String

    private let program: String
    private let process: LockedValue<ChildProcess?>

    private init(
        _ program: String, _ process: ChildProcess, tcpAddress: String, httpAddress: String
    ) {
        self.program = program
        self.process = LockedValue(process)
        self.tcpAddress = tcpAddress
        self.httpAddress = httpAddress
    }

    /// Starts nsqlookupds on free ports.
    static func start(_ count: Int) async throws -> [LookupDaemon] {
        guard count > 0 else { return [] }
        guard let program else {
            throw Failure(
                description: "NSQLOOKUPD_PROGRAM does not name the nsqlookupd that a cluster with "
                    + "nsqlookupds requires")
        }
        var daemons: [LookupDaemon] = []
        do {
            for _ in 0..<count { daemons.append(try await start(program)) }
        } catch {
            for daemon in daemons { await daemon.stop() }
            throw error
        }
        return daemons
    }

    private static func start(_ program: String) async throws -> LookupDaemon {
        let process = try ChildProcess(
            program, ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"])
        let tcp = try await process.text(after: "TCP: listening on ")
        let http = try await process.text(after: "HTTP: listening on ")
        return LookupDaemon(program, process, tcpAddress: tcp, httpAddress: http)
    }

    /// Stops the process. Brokers and clients keep its addresses.
    public func stop() async {
        let process = process.withLock { process in
            defer { process = nil }
            return process
        }
        await process?.stop()
    }

    /// Starts the process again at its addresses. It has no registrations until the brokers reconnect.
    ///
    /// - Throws: ``Failure``.
    public func start() async throws(Failure) {
        guard process.withLock({ $0 == nil }) else { return }
        let process = try ChildProcess(
            program, ["--tcp-address=\(tcpAddress)", "--http-address=\(httpAddress)"])
        _ = try await process.text(after: "HTTP: listening on ")
        self.process.withLock { $0 = process }
    }
}

/// A child process whose standard error is a file. It is killed when it is released.
private final class ChildProcess: Sendable {
    private let program: String
    private let processID: pid_t
    private let log: URL
    private let isEnded = LockedValue(false)

    init(_ program: String, _ arguments: [String]) throws(LookupDaemon.Failure) {
        self.program = program
        log = FileManager.default.temporaryDirectory
            .appending(component: "nsqlookupd-\(UUID().uuidString).log")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(
            &actions, STDERR_FILENO, log.path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let status = posix_spawnp(&child, program, &actions, nil, words, environ)
        guard status == 0 else {
            throw LookupDaemon.Failure(
                description: "cannot start \(program): \(String(cString: strerror(status)))")
        }
        processID = child
    }

    deinit { end(SIGKILL) }

    /// Waits for a line of the log.
    ///
    /// - Returns: the rest of the line after `mark`.
    func text(after mark: String) async throws(LookupDaemon.Failure) -> String {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
            // The last line may not be complete yet.
            for line in text.split(separator: "\n").dropLast(text.hasSuffix("\n") ? 0 : 1) {
                if let range = line.range(of: mark) { return String(line[range.upperBound...]) }
            }
            do { try await Task.sleep(for: .milliseconds(2)) } catch { break }
        }
        throw LookupDaemon.Failure(description: "\(program) does not log “\(mark)”")
    }

    func stop() async {
        end(SIGTERM)
    }

    private func end(_ signal: Int32) {
        let isFirst = isEnded.withLock { isEnded in
            defer { isEnded = true }
            return !isEnded
        }
        guard isFirst else { return }
        kill(processID, signal)
        var status: Int32 = 0
        while waitpid(processID, &status, 0) == -1, errno == EINTR {}
        try? FileManager.default.removeItem(at: log)
    }
}
