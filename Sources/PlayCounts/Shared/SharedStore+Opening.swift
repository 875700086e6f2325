import PostgreSQL

extension SharedStore {
    /// Connects, checks the server's settings, creates the schema if it is missing, and registers
    /// the clients.
    ///
    /// - Parameters:
    ///   - clients: the names of the clients. A client that other processes have registered remains
    ///     registered.
    ///   - done: receives the identity and the numbers of the clients, in the order of `clients`.
    package func open(
        clients: [String],
        _ done: @escaping (Result<(Identity, [ClientNumber]), SharedStoreError>) -> Void
    ) {
        checkSettings { [self] error in
            if let error { return done(.failure(error)) }
            openSchema { [self] result in
                switch result {
                case .failure(let error): done(.failure(error))
                case .success(let identity):
                    register(clients[...], []) { done($0.map { (identity, $0) }) }
                }
            }
        }
    }

    /// Refuses a server that may lose a commit after a power failure, like SQLite's settings are
    /// checked, and a transaction isolation with which a play could be counted twice.
    private func checkSettings(_ done: @escaping (SharedStoreError?) -> Void) {
        let needed = [
            ("fsync", ["on"]), ("full_page_writes", ["on"]),
            ("synchronous_commit", ["on", "local", "remote_write", "remote_apply"]),
            ("transaction_isolation", ["read committed"]),
        ]
        let columns = needed.map { "current_setting('\($0.0)')" }.joined(separator: ", ")
        let statement = PostgreSQLStatement(
            "SELECT current_setting('server_version_num')::int8, pg_is_in_recovery(), \(columns)")
        batches.execute(statement) { [self] result in
            switch converted(result, { $0 }) {
            case .failure(let error): done(error)
            case .success(let rows):
                func fail(_ detail: String) {
                    done(SharedStoreError(.unsafeSettings, store: name, detail: detail))
                }
                if (rows.int(0, 0) ?? 0) < 130_000 {
                    return fail("PostgreSQL 13 or later is required")
                }
                if rows.bool(0, 1) {
                    return fail("the server is a standby (pass the address of the primary)")
                }
                for (index, (setting, values)) in needed.enumerated() {
                    let value = rows.text(0, 2 + index) ?? ""
                    guard values.contains(value) else {
                        return fail("\(setting) is \(value) (set it to \(values[0]))")
                    }
                }
                done(nil)
            }
        }
    }

    private func openSchema(
        attempts: Int = 5, _ done: @escaping Completion<Identity>
    ) {
        loadIdentity { [self] result in
            guard case .failure(let error) = result, error.isMissingSchema else {
                return done(result.mapError(\.shared))
            }
            batches.execute(PostgreSQLStatement(script: Self.schema), within: .seconds(60)) {
                [self] result in
                // Several processes that create the schema at the same time conflict with each
                // other, and all but one fail.
                if case .failure(let error) = result, attempts <= 1 || !error.isCreationConflict {
                    return done(.failure(SharedStoreError(error, store: name)))
                }
                openSchema(attempts: attempts - 1, done)
            }
        }
    }

    private enum OpeningError: Error {
        case database(PostgreSQLError, SharedStoreError)
        case other(SharedStoreError)

        var shared: SharedStoreError {
            switch self {
            case .database(_, let error), .other(let error): error
            }
        }

        /// `true` if the schema or its table does not exist.
        var isMissingSchema: Bool {
            guard case .database(let error, _) = self else { return false }
            return error.isMissingSchema
        }
    }

    private func loadIdentity(_ done: @escaping (Result<Identity, OpeningError>) -> Void) {
        let statement = PostgreSQLStatement(
            "SELECT version, store_id, fingerprint_key FROM tally.store")
        batches.execute(statement) { [self] result in
            switch result {
            case .failure(let error):
                done(.failure(.database(error, SharedStoreError(error, store: name))))
            case .success(let rows):
                guard rows.count == 1, let key = rows.bytes(0, 2), key.count == 16 else {
                    let detail = "the table tally.store does not have its one row"
                    return done(
                        .failure(.other(SharedStoreError(.database, store: name, detail: detail))))
                }
                guard rows.int(0, 0) == Self.schemaVersion else {
                    return done(
                        .failure(.other(SharedStoreError(.newerVersion, store: name, detail: ""))))
                }
                let (first, second) = key.withUnsafeBytes { bytes in
                    (
                        UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
                        UInt64(
                            littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                    )
                }
                let fingerprinter = Fingerprinter(key: (first, second))
                done(
                    .success(
                        Identity(storeID: rows.text(0, 1) ?? "", fingerprinter: fingerprinter)))
            }
        }
    }

    private func register(
        _ names: ArraySlice<String>, _ numbers: [ClientNumber],
        _ done: @escaping Completion<[ClientNumber]>
    ) {
        guard let name = names.first else { return done(.success(numbers)) }
        let statement = PostgreSQLStatement("SELECT tally.register_client_1($1)", [.text(name)])
        batches.execute(statement, within: .seconds(120)) { [self] result in
            switch converted(result, { $0.int(0, 0) ?? 0 }) {
            case .failure(let error): done(.failure(error))
            case .success(let number):
                register(names.dropFirst(), numbers + [number], done)
            }
        }
    }
}

extension PostgreSQLError {
    /// `true` if another process was creating the same schema or table.
    fileprivate var isCreationConflict: Bool {
        isTransient || ["23505", "42P06", "42P07", "42710", "42723"].contains(sqlState)
            || sqlState == "XX000"
    }
}
