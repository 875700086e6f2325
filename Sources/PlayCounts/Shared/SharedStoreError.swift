import PostgreSQL

/// The reason why a shared store cannot be used, and the remedy. No plays are lost: messages are
/// finished only after their commit, so NSQ redelivers uncommitted messages.
package struct SharedStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of errors.
    package enum Kind: Sendable {
        /// A statement or the connection has failed.
        case database
        /// The database has no schema of tally.
        case missing
        /// The schema was written by a newer version of tally.
        case newerVersion
        /// The server is configured so that it may lose commits, or confuse them.
        case unsafeSettings
    }

    package let kind: Kind
    /// The store, without a password.
    package let store: String
    package let detail: String
    /// `true` if the same operation may succeed later.
    package let isTransient: Bool

    init(_ kind: Kind, store: String, detail: String) {
        self.kind = kind
        self.store = store
        self.detail = detail
        isTransient = false
    }

    init(_ error: PostgreSQLError, store: String) {
        kind = .database
        self.store = store
        isTransient = error.isTransient
        detail =
            switch error.sqlState {
            case "42501": "\(error) (grant the user the privileges on schema tally)"
            case "42P01", "42883", "3F000":
                "\(error) (the schema tally is incomplete; restore a backup of it)"
            default: "\(error)"
            }
    }

    package var description: String {
        switch kind {
        case .database: "cannot use store '\(store)': \(detail)"
        case .missing:
            "cannot read store '\(store)': no processor has counted into this database (pass the "
                + "URL of a processor's store with --store)"
        case .newerVersion:
            "cannot use store '\(store)': it was written by a newer version of tally (upgrade "
                + "tally, or pass another --store)"
        case .unsafeSettings: "cannot use store '\(store)': \(detail)"
        }
    }
}
