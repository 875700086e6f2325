import Foundation
import Logging
import NSQLookup
import UVLoop

/// An nsqlookupd of a test cluster: the one of this package, in the process of the test, or a child
/// process of the program that the environment variable `NSQLOOKUPD_PROGRAM` names.
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

    // INVARIANT: the ports stay reserved while the nsqlookupd is stopped.
    private let reservations: [PortReservation]
    private let instance = LockedValue<Instance?>(nil)

    /// A running nsqlookupd.
    private enum Instance {
        case embedded(EmbeddedLookup)
        case process(ChildProcess)
    }

    private init() throws(Failure) {
        guard let tcp = PortReservation(), let http = PortReservation() else {
            throw Failure(description: "there is no free port for an nsqlookupd")
        }
        reservations = [tcp, http]
        (tcpAddress, httpAddress) = (tcp.address, http.address)
    }

    /// Starts nsqlookupds on free ports.
    static func start(_ count: Int) async throws(Failure) -> [LookupDaemon] {
        var daemons: [LookupDaemon] = []
        do throws(Failure) {
            for _ in 0..<count {
                let daemon = try LookupDaemon()
                try await daemon.start()
                daemons.append(daemon)
            }
        } catch {
            for daemon in daemons { await daemon.stop() }
            throw error
        }
        return daemons
    }

    /// Stops the nsqlookupd. Brokers and clients keep its addresses.
    public func stop() async {
        let instance = instance.withLock { instance in
            defer { instance = nil }
            return instance
        }
        switch instance {
        case .embedded(let lookup): await lookup.stop()
        case .process(let process): await process.stop()
        case nil: break
        }
    }

    /// Starts the nsqlookupd again at its addresses. It has no registrations until the brokers
    /// reconnect.
    ///
    /// - Throws: ``Failure``.
    public func start() async throws(Failure) {
        guard instance.withLock({ $0 == nil }) else { return }
        let started: Instance
        if let program = Self.program {
            let process = try ChildProcess(
                program, ["--tcp-address=\(tcpAddress)", "--http-address=\(httpAddress)"])
            _ = try await process.text(after: "HTTP: listening on ")
            started = .process(process)
        } else {
            started = .embedded(try await startEmbedded())
        }
        instance.withLock { $0 = started }
    }

    private func startEmbedded() async throws(Failure) -> EmbeddedLookup {
        var options = LookupServerOptions()
        options.tcpAddress = tcpAddress
        options.httpAddress = httpAddress
        options.broadcastAddress = "127.0.0.1"
        // nsqlookupd logs the end of each broker's connection as an error, which is normal in a test.
        var logger = Logger(quiet: "nsqlookupd")
        logger.logLevel = .critical
        do throws(LookupStartError) {
            return try await repeating(while: \.isAddressInUse) {
                () async throws(LookupStartError) in
                try await EmbeddedLookup.start(options, logger: logger)
            }
        } catch {
            throw Failure(description: error.description)
        }
    }
}

/// A child process whose standard error is a file. It is killed when this object is deallocated.
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
