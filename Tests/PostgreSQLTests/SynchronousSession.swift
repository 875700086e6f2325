import PostgreSQL
import TestKit
import UVLoop

/// A session on a loop of its own, whose statements a test executes one after the other.
final class SynchronousSession {
    let loop: Loop
    let session: PostgreSQLSession

    init(_ url: String) throws {
        loop = try Loop()
        session = PostgreSQLSession(try PostgreSQLConfiguration(url: url), on: loop, jitterSeed: 1)
    }

    deinit {
        session.close()
        loop.close()
    }

    /// Executes a statement, and runs the loop until its completion.
    func run(
        _ sql: String, _ parameters: [PostgreSQLValue] = [], within limit: Duration = .seconds(60)
    ) throws(PostgreSQLError) -> PostgreSQLRows {
        try run(PostgreSQLStatement(sql, parameters), within: limit)
    }

    func run(
        _ statement: PostgreSQLStatement, within limit: Duration = .seconds(60)
    ) throws(PostgreSQLError) -> PostgreSQLRows {
        var outcome: Result<PostgreSQLRows, PostgreSQLError>?
        session.execute(statement, within: limit) { [loop] in
            outcome = $0
            loop.stop()
        }
        loop.run()
        return try outcome!.get()
    }

    /// Executes a statement that fails.
    func error(
        of sql: String, _ parameters: [PostgreSQLValue] = [], within limit: Duration = .seconds(60)
    ) -> PostgreSQLError? {
        do throws(PostgreSQLError) {
            _ = try run(sql, parameters, within: limit)
            return nil
        } catch {
            return error
        }
    }
}
