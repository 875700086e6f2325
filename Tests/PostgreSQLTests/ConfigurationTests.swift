import PostgreSQL
import Testing

@Suite struct `A PostgreSQL URL` {
    @Test(arguments: [
        "postgres://ann:secret@db:5432:1/x", "postgres://ann:secret@db/x?nonsense=1",
        "postgres://ann:secret%zz@db/x", "postgres://ann:secret@db:99999/x",
        "mysql://ann:secret@db/x",
    ])
    func `that is invalid is reported without the password`(url: String) {
        let error = #expect(throws: PostgreSQLError.self) { try PostgreSQLConfiguration(url: url) }
        #expect(error?.message.contains("secret") == false)
        #expect(error?.message.contains("PostgreSQL URL") == true)
    }

    @Test func `is described without password and parameters`() throws {
        let configuration = try PostgreSQLConfiguration(
            url: "postgresql://ann:secret@db.example:6432/plays?sslmode=require&password=secret2")
        #expect("\(configuration)" == "postgres://ann@db.example:6432/plays")
    }

    @Test func `can name several hosts`() throws {
        let configuration = try PostgreSQLConfiguration(
            url: "postgres://ann@one:1,two:2/plays?connect_timeout=7")
        #expect("\(configuration)" == "postgres://ann@one:1,two:2/plays")
        #expect(configuration.connectTimeout == .seconds(7))
    }

    @Test func `can name the folder of a socket`() throws {
        let configuration = try PostgreSQLConfiguration(url: "postgres://ann@/plays?host=/run/pg")
        #expect("\(configuration)" == "postgres://ann@/run/pg/plays")
    }
}
