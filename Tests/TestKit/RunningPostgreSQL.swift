import Foundation

/// A PostgreSQL server of one test, with its own data folder.
///
/// The environment variable `TALLY_POSTGRESQL` names the folder with the programs `initdb` and
/// `postgres`, such as `/usr/lib/postgresql/15/bin`. Without it, the tests that need a server are
/// skipped.
package final class RunningPostgreSQL: @unchecked Sendable {
    /// The folder of the programs; `nil` if the tests that need a server are to be skipped.
    package static let programs = ProcessInfo.processInfo.environment["TALLY_POSTGRESQL"].flatMap {
        $0.isEmpty ? nil : URL(filePath: $0)
    }

    /// `true` if a server can be started.
    package static var isAvailable: Bool { programs != nil }

    /// The password of the user `tally`, who owns the server.
    package static let password = "se%20cret-9f3"

    package let port: Int
    private let folder: TemporaryFolder
    private let settings: [String]
    // SAFETY: only the test's thread starts and stops the server.
    private var server: BuiltProcess?

    /// Creates and starts a server.
    ///
    /// - Parameter settings: additional settings, such as `fsync=off`.
    package init(settings: [String] = []) throws {
        folder = try TemporaryFolder()
        self.settings = settings
        port = try BlockingListener().port
        try Self.password.removingPercentEncoding!.write(
            toFile: folder.path("password"), atomically: false, encoding: .utf8)
        // PostgreSQL refuses to run as root.
        if getuid() == 0 {
            for path in [folder.url.path, folder.path("password")] { chown(path, 65534, 65534) }
        }
        let create = try Self.process(
            "initdb",
            [
                "--pgdata=\(folder.path("data"))", "--username=tally", "--no-sync",
                "--auth=scram-sha-256", "--pwfile=\(folder.path("password"))", "--encoding=UTF8",
                "--locale=C",
            ], in: folder)
        guard create.status() == 0 else {
            throw ServerError(text: create.lines(of: .standardError).joined(separator: "\n"))
        }
        try start()
    }

    deinit { kill() }

    /// The URL of the database `postgres`.
    ///
    /// - Parameter password: with percent-encoding; `nil` leaves it out.
    package func url(password: String? = RunningPostgreSQL.password) -> String {
        "postgres://tally\(password.map { ":\($0)" } ?? "")@127.0.0.1:\(port)/postgres"
    }

    /// Starts the server again.
    package func start() throws {
        let server = try Self.process(
            "postgres",
            ["-D", folder.path("data"), "-p", "\(port)", "-c", "listen_addresses=127.0.0.1"]
                + ["-c", "unix_socket_directories=", "-c", "max_connections=50", "-c", "jit=off"]
                + settings.flatMap { ["-c", $0] }, in: folder)
        guard server.line(containing: "database system is ready to accept connections") != nil
        else {
            throw ServerError(text: server.lines(of: .standardError).joined(separator: "\n"))
        }
        self.server = server
    }

    /// Stops the server as an administrator does (`fast`), and waits for its end.
    package func stop() {
        server?.send(SIGINT)
        _ = server?.status()
        server = nil
    }

    /// Ends the server without a shutdown, as after a crash.
    package func kill() {
        server?.send(SIGQUIT)
        _ = server?.status()
        server = nil
    }

    private static func process(
        _ program: String, _ arguments: [String], in folder: TemporaryFolder
    ) throws -> BuiltProcess {
        guard let programs else { throw ServerError(text: "TALLY_POSTGRESQL is not set") }
        let path = programs.appending(component: program)
        let environment = ["LC_ALL": "C"]
        guard getuid() == 0 else {
            return try BuiltProcess(
                arguments, executable: path, environment: environment, directory: folder.url)
        }
        return try BuiltProcess(
            ["--reuid=65534", "--regid=65534", "--clear-groups", path.path] + arguments,
            executable: URL(filePath: "/usr/bin/setpriv"), environment: environment,
            directory: folder.url)
    }

    private struct ServerError: Error, CustomStringConvertible {
        let text: String
        var description: String { "PostgreSQL does not run: \(text)" }
    }
}
