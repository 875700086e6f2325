/// The reason why a connection or a statement has failed. No text contains a password.
package struct PostgreSQLError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The server's five-character code, such as `42501`; `nil` if the error is not the server's,
    /// or if it occurred before the connection was established.
    package let sqlState: String?
    /// The server's or the library's text, on one line.
    package let message: String
    /// `true` if the statement was sent and its outcome is unknown: the server may have committed
    /// it.
    package let isOutcomeUnknown: Bool

    /// Creates an error.
    package init(sqlState: String? = nil, _ message: String, isOutcomeUnknown: Bool = false) {
        self.sqlState = sqlState
        self.message = message.split(whereSeparator: \.isNewline)
            .map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
            .filter { !$0.isEmpty }.joined(separator: "; ")
        self.isOutcomeUnknown = isOutcomeUnknown
    }

    /// `true` if the same statement may succeed later without a change by an administrator: after a
    /// lost or refused connection, a restart, a failover, a deadlock or a lock that was not free in
    /// time.
    package var isTransient: Bool {
        guard let sqlState else { return true }
        // Connection, transaction rollback, insufficient resources, operator intervention, system
        // error; lock not available; a server that is, or has become, a standby.
        return ["08", "40", "53", "57", "58"].contains(sqlState.prefix(2))
            || ["55P03", "25006"].contains(sqlState)
    }

    package var description: String {
        sqlState.map { "\(message) (SQLSTATE \($0))" } ?? message
    }
}
