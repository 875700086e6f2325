import TallyBasics
import UVLoop

/// One attempt to connect: resolves the host names on libuv's thread pool, because libpq would
/// block the loop while it resolves them, and then connects to the addresses.
///
/// A host that only a service file names is resolved by libpq.
final class PostgreSQLConnector {
    typealias Host = PostgreSQLConfiguration.Host

    private let configuration: PostgreSQLConfiguration
    private let loop: Loop
    private let timer: Timer
    private let connection: PostgreSQLConnection
    private var lookup: HostLookup?
    private var done: ((Result<PostgreSQLConnection, PostgreSQLError>) -> Void)?

    init(_ configuration: PostgreSQLConfiguration, on loop: Loop) {
        self.configuration = configuration
        self.loop = loop
        timer = Timer(on: loop)
        connection = PostgreSQLConnection(on: loop)
    }

    /// Starts the attempt.
    ///
    /// - Parameter done: called once, unless the attempt is cancelled.
    func start(_ done: @escaping (Result<PostgreSQLConnection, PostgreSQLError>) -> Void) {
        self.done = done
        let limit = configuration.connectTimeout
        timer.start(after: limit) { [weak self] in
            self?.end(.failure(PostgreSQLError("no connection within \(limit)")))
        }
        resolve(configuration.hosts[...], resolved: [])
    }

    /// Ends the attempt without calling `done`.
    func cancel() {
        done = nil
        lookup?.cancel()
        timer.close()
        connection.close()
    }

    private func resolve(_ rest: ArraySlice<Host>, resolved: [Host]) {
        guard let host = rest.first else { return connect(resolved) }
        let rest = rest.dropFirst()
        let isSocketFolder = host.name.hasPrefix("/") || host.name.hasPrefix("@")
        guard !host.name.isEmpty, host.address.isEmpty, !isSocketFolder,
            !HostLookup.isNumeric(host.name)
        else { return resolve(rest, resolved: resolved + [host]) }
        do throws(UVError) {
            lookup = try HostLookup(of: host.name, on: loop) { [weak self] result in
                self?.resolved(host, result, rest, resolved)
            }
        } catch {
            end(.failure(PostgreSQLError("cannot resolve '\(host.name)': \(error)")))
        }
    }

    private func resolved(
        _ host: Host, _ result: Result<[String], UVError>, _ rest: ArraySlice<Host>,
        _ resolved: [Host]
    ) {
        lookup = nil
        switch result {
        case .success(let addresses):
            let found = addresses.map { Host(name: host.name, address: $0, port: host.port) }
            resolve(rest, resolved: resolved + found)
        case .failure(let error):
            // Another host may still be reachable.
            guard rest.isEmpty, resolved.isEmpty else {
                return resolve(rest, resolved: resolved)
            }
            end(.failure(PostgreSQLError("cannot resolve '\(host.name)': \(error)")))
        }
    }

    private func connect(_ hosts: [Host]) {
        var parameters = configuration.parameters.map { (name: $0.key, value: $0.value) }
        if !hosts.isEmpty {
            for (name, values) in [
                ("host", hosts.map(\.name)), ("hostaddr", hosts.map(\.address)),
                ("port", hosts.map(\.port)),
            ] where values.contains(where: { !$0.isEmpty }) {
                parameters.append((name, values.joined(separator: ",")))
            }
        }
        connection.connect(parameters) { [weak self] error in
            guard let self else { return }
            end(error.map { .failure($0) } ?? .success(connection))
        }
    }

    private func end(_ result: Result<PostgreSQLConnection, PostgreSQLError>) {
        guard let done else { return }
        self.done = nil
        lookup?.cancel()
        timer.close()
        if case .failure = result { connection.close() }
        done(result)
    }
}
