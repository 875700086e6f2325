import PostgreSQL
import TestKit
import TestTraits
import Testing
import UVLoop

/// The environment variable `TALLY_POSTGRESQL` names the folder with PostgreSQL's programs.
@Suite(.blocking, .enabled(if: RunningPostgreSQL.isAvailable, "set TALLY_POSTGRESQL"))
struct `A PostgreSQL session` {
    @Test func `sends and receives values in binary format`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        let rows = try session.run(
            """
            SELECT $1, $2, $3, $4, $5::bool, array_length($6, 1),
                $7[2] = 'ffeeddcc-bbaa-9988-7766-554433221100', cardinality($8)
            """,
            [
                .int(-7), .text("ä€"), .bytes([0, 255]), .null, .text("true"), .ints([1, 2, 3]),
                .uuids(
                    [UInt8](repeating: 0, count: 16)
                        + (0..<16).map { UInt8(0xFF - 0x11 * $0) }), .ints([]),
            ])
        #expect(rows.count == 1)
        #expect(rows.int(0, 0) == -7)
        #expect(rows.text(0, 1) == "ä€")
        #expect(rows.bytes(0, 2) == [0, 255])
        #expect(rows.int(0, 3) == nil)
        #expect(rows.bool(0, 4))
        #expect(rows.int(0, 5) == 3)
        #expect(rows.bool(0, 6))
        #expect(rows.int(0, 7) == 0)
    }

    @Test func `sends and receives more than a socket buffer holds`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        let bytes = [UInt8](repeating: 7, count: 20_000_000)
        #expect(try session.run("SELECT $1", [.bytes(bytes)]).bytes(0, 0) == bytes)
    }

    @Test func `reports errors with their SQLSTATE and continues`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        let missing = session.error(of: "SELECT * FROM missing")
        #expect(missing?.sqlState == "42P01")
        #expect(missing?.isTransient == false)
        #expect(session.error(of: "SELECT 1 / $1", [.int(0)])?.sqlState == "22012")
        #expect(try session.run("SELECT 2::int8").int(0, 0) == 2)
    }

    @Test func `ends a statement at its time limit and connects again`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        let slow = session.error(of: "SELECT pg_sleep(600)", within: .milliseconds(200))
        #expect(slow?.isTransient == true)
        #expect(slow?.isOutcomeUnknown == true)
        #expect(try session.run("SELECT 3::int8").int(0, 0) == 3)
    }

    @Test func `does not block its loop while a statement runs`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        var ticks = 0
        let timer = Timer(on: session.loop)
        timer.start(after: .milliseconds(10), repeating: .milliseconds(10)) { ticks += 1 }
        _ = try session.run("SELECT pg_sleep(0.5)")
        timer.close()
        #expect(ticks > 5)
    }

    @Test func `continues after an administrator has ended its connection`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        let administrator = try SynchronousSession(server.url())
        let process = try #require(
            try session.run("SELECT pg_backend_pid()::int8").int(0, 0))
        _ = try administrator.run("SELECT pg_terminate_backend($1::int)", [.int(Int64(process))])
        // The loop notices the end of the idle connection, or the statement fails.
        let error = session.error(of: "SELECT 1")
        #expect(error == nil || error?.isTransient == true)
        let other = try session.run("SELECT pg_backend_pid()::int8").int(0, 0)
        #expect(other != process)
    }

    @Test func `continues after a restart of the server`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url())
        _ = try session.run("CREATE TABLE t AS SELECT 5::int8 AS v")
        server.kill()
        #expect(session.error(of: "SELECT v FROM t", within: .seconds(2))?.isTransient == true)
        try server.start()
        #expect(eventually { session.error(of: "SELECT v FROM t") == nil })
    }

    @Test func `reports a wrong password without any password`() throws {
        let server = try RunningPostgreSQL()
        let session = try SynchronousSession(server.url(password: "hunter22"))
        let error = session.error(of: "SELECT 1")
        #expect(error?.message.contains("password authentication failed") == true)
        #expect(error?.message.contains("hunter22") == false)
    }

    @Test func `resolves host names without libpq`() throws {
        let server = try RunningPostgreSQL()
        let url = server.url().replacing("127.0.0.1", with: "localhost")
        #expect(try SynchronousSession(url).run("SELECT 4::int8").int(0, 0) == 4)
    }

    @Test func `tries the next host if one is not reachable`() throws {
        let server = try RunningPostgreSQL()
        let free = try BlockingListener().port
        let url = server.url().replacing(
            "127.0.0.1:\(server.port)", with: "127.0.0.1:\(free),127.0.0.1:\(server.port)")
        #expect(try SynchronousSession(url).run("SELECT 4::int8").int(0, 0) == 4)
    }
}

@Suite(.blocking) struct `A PostgreSQL session without a server` {
    @Test func `reports that nothing listens`() throws {
        let port = try BlockingListener().port
        let session = try SynchronousSession("postgres://ann:secret@127.0.0.1:\(port)/x")
        let error = session.error(of: "SELECT 1")
        #expect(error?.message.contains("Connection refused; Is the server running") == true)
        #expect(error?.isTransient == true)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `gives up a server that does not respond`() throws {
        let listener = try BlockingListener()
        let session = try SynchronousSession("postgres://a@127.0.0.1:\(listener.port)/x")
        let error = session.error(of: "SELECT 1", within: .milliseconds(100))
        #expect(error?.message.contains("did not respond") == true)
    }

    @Test func `reports an unknown host`() throws {
        let session = try SynchronousSession("postgres://a@nowhere.invalid/x")
        #expect(
            session.error(of: "SELECT 1")?.message.contains("cannot resolve 'nowhere.invalid'")
                == true)
    }

    @Test func `bounds the number of waiting statements`() throws {
        let listener = try BlockingListener()
        let session = try SynchronousSession("postgres://a@127.0.0.1:\(listener.port)/x")
        var refused = 0
        for _ in 0..<PostgreSQLSession.maxWaiting + 2 {
            session.session.execute(
                PostgreSQLStatement("SELECT 1"), within: .milliseconds(50)
            ) { result in
                if case .failure(let error) = result, error.message.contains("too many") {
                    refused += 1
                }
            }
        }
        session.loop.runInNextIteration { session.loop.runInNextIteration { session.loop.stop() } }
        session.loop.run()
        #expect(refused == 2)
    }
}
