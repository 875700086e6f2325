import CPostgreSQL

/// How to reach a database: libpq's parameters from a URL, completed by the environment (`PGHOST`,
/// `PGPASSWORD`, `PGSSLMODE` and so on), the password file and the service file.
package struct PostgreSQLConfiguration: Sendable, CustomStringConvertible {
    /// One address that libpq tries.
    struct Host: Sendable, Equatable {
        /// A host name, a numeric address, or the folder of a Unix-domain socket.
        var name: String
        /// The numeric address; empty to let libpq use `name`.
        var address = ""
        var port: String
    }

    /// The parameters other than `host`, `hostaddr` and `port`.
    let parameters: [String: String]
    let hosts: [Host]

    /// The maximum time of a connection attempt, with the lookup of the host name.
    package let connectTimeout: Duration

    /// `true` if the text is a URL of PostgreSQL.
    package static func isURL(_ text: String) -> Bool {
        text.hasPrefix("postgres://") || text.hasPrefix("postgresql://")
    }

    /// Parses a URL such as `postgres://user@host:5432/database?sslmode=verify-full`.
    ///
    /// - Throws: `PostgreSQLError` without the URL, because it may contain a password.
    package init(url: String) throws(PostgreSQLError) {
        // The text of libpq's parser may contain the URL, so it is not used.
        guard Self.isURL(url), let given = Self.options(in: PQconninfoParse(url, nil)) else {
            throw PostgreSQLError(
                "invalid PostgreSQL URL (use postgres://USER@HOST:PORT/DATABASE?PARAMETER=VALUE, "
                    + "with special characters percent-encoded)")
        }
        var merged = (Self.options(in: PQconndefaults()) ?? [:]).merging(given) { $1 }
        let addresses = Self.list(merged.removeValue(forKey: "hostaddr"))
        let names = Self.list(merged.removeValue(forKey: "host"))
        // As in libpq, an empty port is the default one.
        let ports = Self.list(merged.removeValue(forKey: "port")).map { $0.isEmpty ? "5432" : $0 }
        let count = max(addresses.count, names.count)
        guard ports.count <= 1 || ports.count == max(1, count),
            ports.allSatisfy({ 1...65_535 ~= Int($0) ?? 0 })
        else {
            throw PostgreSQLError(
                "invalid PostgreSQL URL (use one port from 1 to 65535, or one for each host)")
        }
        hosts = (0..<count).map { index in
            Host(
                name: index < names.count ? names[index] : "",
                address: index < addresses.count ? addresses[index] : "",
                port: ports.count > 1 ? ports[index] : ports.first ?? "5432")
        }
        if count == 0, let port = ports.first { merged["port"] = port }
        let seconds = merged["connect_timeout"].flatMap { Int($0) } ?? 0
        connectTimeout = seconds > 0 ? .seconds(min(seconds, 600)) : .seconds(5)
        merged["client_encoding"] = "UTF8"
        merged["fallback_application_name"] = "tally"
        // After a failover, only the new primary accepts writes.
        if count > 1, given["target_session_attrs"] == nil {
            merged["target_session_attrs"] = "read-write"
        }
        parameters = merged
    }

    /// The URL without password and parameters, for logs and errors.
    package var description: String {
        let user = parameters["user"].map { "\($0)@" } ?? ""
        let names = hosts.map { host in
            let name = host.name.isEmpty ? host.address : host.name
            return name.hasPrefix("/") ? name : "\(name):\(host.port)"
        }
        let database = parameters["dbname"] ?? parameters["user"] ?? ""
        return "postgres://\(user)\(names.joined(separator: ","))/\(database)"
    }

    private static func list(_ text: String?) -> [String] {
        guard let text, !text.isEmpty else { return [] }
        return text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    /// Reads and frees a list of options; `nil` if there is none.
    private static func options(
        in list: UnsafeMutablePointer<PQconninfoOption>?
    ) -> [String: String]? {
        guard let list else { return nil }
        defer { PQconninfoFree(list) }
        var options: [String: String] = [:]
        var next = list
        while let keyword = next.pointee.keyword {
            if let value = next.pointee.val {
                options[String(cString: keyword)] = String(cString: value)
            }
            next += 1
        }
        return options
    }
}
