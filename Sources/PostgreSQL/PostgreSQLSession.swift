import TallyBasics
import UVLoop

/// A connection that is established when a statement needs it, and again after it was lost.
///
/// Statements are executed in the order of their calls, one at a time. A statement is never sent
/// twice: if its connection is lost, it fails, and the caller decides. All methods are called on
/// the loop's thread, and none blocks it.
package final class PostgreSQLSession {
    /// The maximum number of statements that wait.
    package static let maxWaiting = 64

    private struct Waiting {
        let number: Int
        let statement: PostgreSQLStatement
        let completion: (Result<PostgreSQLRows, PostgreSQLError>) -> Void
        let timer: Timer
    }

    private enum State {
        case disconnected
        case connecting(PostgreSQLConnector)
        case idle(PostgreSQLConnection)
        case executing(PostgreSQLConnection, Waiting)
        case closed
    }

    private let loop: Loop
    private let configuration: PostgreSQLConfiguration
    private let retryTimer: Timer
    private var state = State.disconnected
    private var waiting: [Waiting] = []
    private var lastNumber = 0
    private var backoff: Backoff
    /// The earliest time of the next connection attempt.
    private var retryAt: MonotonicInstant?
    private var lastError: PostgreSQLError?

    /// Creates a session that is not connected.
    ///
    /// - Parameter jitterSeed: seeds the jitter of the delays between connection attempts.
    package init(
        _ configuration: PostgreSQLConfiguration, on loop: Loop,
        jitterSeed: UInt64 = .random(in: .min ... .max)
    ) {
        self.configuration = configuration
        self.loop = loop
        retryTimer = Timer(on: loop)
        backoff = Backoff(from: .milliseconds(100), upTo: .seconds(5), jitterSeed: jitterSeed)
    }

    /// Executes a statement.
    ///
    /// - Parameters:
    ///   - limit: the maximum time until the completion, with the time in which other statements
    ///     and the connection are awaited. A statement that is in progress then fails with an
    ///     unknown outcome, and its connection is closed.
    ///   - completion: called once on the loop, never within this method; not called after
    ///     ``close()``.
    package func execute(
        _ statement: PostgreSQLStatement, within limit: Duration = .seconds(10),
        _ completion: @escaping (Result<PostgreSQLRows, PostgreSQLError>) -> Void
    ) {
        if case .closed = state { return }
        guard waiting.count < Self.maxWaiting else {
            loop.runInNextIteration {
                completion(.failure(PostgreSQLError("too many statements wait for the database")))
            }
            return
        }
        lastNumber += 1
        let number = lastNumber
        let timer = Timer(on: loop)
        timer.start(after: limit) { [weak self] in self?.expire(number, limit) }
        waiting.append(
            Waiting(
                number: number, statement: statement, completion: completion, timer: timer))
        loop.runInNextIteration { [weak self] in self?.proceed() }
    }

    /// Closes the connection. No completion is called afterwards.
    package func close() {
        abandonConnection()
        state = .closed
        retryTimer.close()
        for waiting in waiting { waiting.timer.close() }
        waiting = []
    }

    // MARK: Steps

    private func proceed() {
        guard !waiting.isEmpty else { return }
        switch state {
        case .disconnected: connect()
        case .idle(let connection):
            let next = waiting.removeFirst()
            state = .executing(connection, next)
            connection.execute(next.statement) { [weak self] in self?.finish(next, $0) }
        case .connecting, .executing, .closed: break
        }
    }

    private func connect() {
        if let retryAt, retryAt > loop.instant {
            return retryTimer.start(after: retryAt - loop.instant) { [weak self] in
                self?.proceed()
            }
        }
        let connector = PostgreSQLConnector(configuration, on: loop)
        state = .connecting(connector)
        connector.start { [weak self] in self?.connected($0) }
    }

    private func connected(_ result: Result<PostgreSQLConnection, PostgreSQLError>) {
        switch result {
        case .success(let connection):
            backoff.reset()
            retryAt = nil
            connection.onLoss = { [weak self] _ in self?.lost() }
            state = .idle(connection)
            proceed()
        case .failure(let error):
            state = .disconnected
            lastError = error
            retryAt = loop.instant + backoff.nextDelay()
            let failed = waiting
            waiting = []
            for failed in failed { complete(failed, .failure(error)) }
        }
    }

    private func finish(_ done: Waiting, _ result: Result<PostgreSQLRows, PostgreSQLError>) {
        if case .executing(let connection, _) = state {
            state = .idle(connection)
            // The server has become a standby. Another connection may reach the new primary.
            if case .failure(let error) = result, error.sqlState == "25006" {
                connection.close()
                lost()
            }
        }
        complete(done, result)
        loop.runInNextIteration { [weak self] in self?.proceed() }
    }

    private func lost() {
        if case .closed = state { return }
        state = .disconnected
        retryAt = loop.instant + backoff.nextDelay()
        proceed()
    }

    private func expire(_ number: Int, _ limit: Duration) {
        if let index = waiting.firstIndex(where: { $0.number == number }) {
            let expired = waiting.remove(at: index)
            let error = lastError ?? PostgreSQLError("the database did not respond in \(limit)")
            return complete(expired, .failure(error))
        }
        guard case .executing(_, let current) = state, current.number == number else { return }
        abandonConnection()
        state = .disconnected
        complete(
            current,
            .failure(
                PostgreSQLError(
                    "the database did not respond in \(limit)", isOutcomeUnknown: true)))
        proceed()
    }

    private func abandonConnection() {
        switch state {
        case .connecting(let connector): connector.cancel()
        case .idle(let connection): connection.close()
        case .executing(let connection, let current):
            current.timer.close()
            connection.close()
        case .disconnected, .closed: break
        }
    }

    private func complete(
        _ done: Waiting, _ result: Result<PostgreSQLRows, PostgreSQLError>
    ) {
        done.timer.close()
        done.completion(result)
    }
}
