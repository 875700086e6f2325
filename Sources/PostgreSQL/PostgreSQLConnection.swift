import CPostgreSQL
import UVLoop

/// One connection to a server over libpq, without blocking calls. It executes one statement at a
/// time, and does not reconnect: see ``PostgreSQLSession``.
final class PostgreSQLConnection {
    typealias Completion = (Result<PostgreSQLRows, PostgreSQLError>) -> Void

    private enum State {
        case connecting((PostgreSQLError?) -> Void)
        case idle
        case executing(Completion, result: Result<PostgreSQLRows, PostgreSQLError>?)
        case closed
    }

    private let loop: Loop
    private var connection: OpaquePointer?
    private var poll: DescriptorPoll?
    private var state = State.closed

    /// Called when an established connection is lost. A statement in progress fails first.
    var onLoss: (PostgreSQLError) -> Void = { _ in }

    init(on loop: Loop) {
        self.loop = loop
    }

    deinit {
        poll?.close()
        if let connection { PQfinish(connection) }
    }

    /// Starts to connect.
    ///
    /// - Parameters:
    ///   - parameters: libpq's parameters. With a host name and without `hostaddr`, libpq would
    ///     block while it resolves the name.
    ///   - done: called once, with `nil` on success.
    func connect(
        _ parameters: [(name: String, value: String)], _ done: @escaping (PostgreSQLError?) -> Void
    ) {
        state = .connecting(done)
        connection = Self.withCStrings(parameters.map(\.name)) { names in
            Self.withCStrings(parameters.map(\.value)) { PQconnectStartParams(names, $0, 0) }
        }
        guard connection != nil, PQstatus(connection) != CONNECTION_BAD else {
            return end(lastError)
        }
        // Otherwise libpq writes notices to standard error.
        PQsetNoticeProcessor(connection, { _, _ in }, nil)
        // The documentation of PQconnectPoll says to begin as if it had returned this value.
        watch(.writable)
    }

    /// Sends a statement. The connection must be idle.
    func execute(_ statement: PostgreSQLStatement, _ done: @escaping Completion) {
        guard case .idle = state else { preconditionFailure("one statement at a time") }
        state = .executing(done, result: nil)
        guard send(statement) else { return end(lastError) }
        flush()
    }

    /// Closes the connection without any further callback.
    func close() {
        state = .closed
        onLoss = { _ in }
        closeSocket()
    }

    // MARK: Events

    private func handle(_ events: DescriptorPoll.Events) {
        switch state {
        case .connecting: continueToConnect()
        case .idle, .executing:
            if events.contains(.writable) { flush() }
            if events.contains(.readable) { receive() }
        case .closed: break
        }
    }

    private func continueToConnect() {
        // libpq may close the socket and open another one with the same number, so the poll ends
        // before each step.
        poll?.close()
        poll = nil
        switch PQconnectPoll(connection) {
        case PGRES_POLLING_READING: watch(.readable)
        case PGRES_POLLING_WRITING: watch(.writable)
        case PGRES_POLLING_OK:
            guard case .connecting(let done) = state, PQsetnonblocking(connection, 1) == 0 else {
                return end(lastError)
            }
            state = .idle
            // Also without a statement, the end of the connection has to be noticed.
            watch(.readable)
            done(nil)
        default: end(lastError)
        }
    }

    private func flush() {
        switch PQflush(connection) {
        case 0: watch(.readable)
        case 1: watch([.readable, .writable])
        default: end(lastError)
        }
    }

    private func receive() {
        guard PQconsumeInput(connection) == 1 else { return end(lastError) }
        while case .executing(let done, let earlier) = state, PQisBusy(connection) == 0 {
            guard let next = PQgetResult(connection) else {
                guard PQstatus(connection) == CONNECTION_OK else { return end(lastError) }
                state = .idle
                done(earlier ?? .failure(PostgreSQLError("the server returned no result")))
                return
            }
            // A script has several results. The first error is the outcome, or else the last
            // result.
            let result = Self.result(of: next)
            if case .failure = earlier { continue }
            state = .executing(done, result: result)
        }
    }

    /// Ends the connection after an error.
    private func end(_ error: PostgreSQLError) {
        let former = state
        state = .closed
        closeSocket()
        switch former {
        case .connecting(let done): done(error)
        case .idle: onLoss(error)
        case .executing(let done, let result):
            if case .failure = result {
                done(result!)
            } else {
                done(.failure(PostgreSQLError(error.message, isOutcomeUnknown: true)))
            }
            onLoss(error)
        case .closed: break
        }
    }

    // MARK: libpq

    private func closeSocket() {
        poll?.close()
        poll = nil
        // The poll is inactive now, so the descriptor may be closed.
        if let connection { PQfinish(connection) }
        connection = nil
    }

    private func watch(_ events: DescriptorPoll.Events) {
        do throws(UVError) {
            let current: DescriptorPoll
            if let poll {
                current = poll
            } else {
                current = try DescriptorPoll(PQsocket(connection), on: loop)
            }
            poll = current
            current.start(events) { [weak self] in self?.handle($0) }
        } catch {
            end(PostgreSQLError("\(error)"))
        }
    }

    private var lastError: PostgreSQLError {
        guard let text = PQerrorMessage(connection) else { return PostgreSQLError("no connection") }
        let message = String(cString: text)
        return PostgreSQLError(message.isEmpty ? "the connection was lost" : message)
    }

    private func send(_ statement: PostgreSQLStatement) -> Bool {
        if statement.script { return PQsendQuery(connection, statement.sql) == 1 }
        let types = statement.parameters.map(\.type)
        let values = statement.parameters.map(\.encoded)
        let lengths = values.map { Int32($0?.count ?? 0) }
        let formats = [Int32](repeating: 1, count: values.count)
        var memory: [UInt8] = []
        memory.reserveCapacity(values.reduce(0) { $0 + ($1?.count ?? 0) })
        var offsets: [Int?] = []
        for value in values {
            offsets.append(value == nil ? nil : memory.count)
            memory += value ?? []
        }
        // The byte makes an empty array have an address.
        memory.append(0)
        return memory.withUnsafeBytes { bytes in
            // SAFETY: PQsendQueryParams copies the values before it returns.
            let start = bytes.baseAddress!.assumingMemoryBound(to: CChar.self)
            let pointers = offsets.map { $0.map { UnsafePointer<CChar>(start + $0) } }
            return PQsendQueryParams(
                connection, statement.sql, Int32(values.count), types, pointers, lengths, formats,
                1) == 1
        }
    }

    private static func result(
        of pointer: OpaquePointer
    ) -> Result<PostgreSQLRows, PostgreSQLError> {
        switch PQresultStatus(pointer) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            return .success(PostgreSQLRows(pointer))
        default:
            defer { PQclear(pointer) }
            let state = pg_result_sqlstate(pointer).map { String(cString: $0) }
            let text =
                pg_result_primary_message(pointer) ?? UnsafePointer(PQresultErrorMessage(pointer))
            return .failure(
                PostgreSQLError(
                    sqlState: state, text.map { String(cString: $0) } ?? "unknown error",
                    isOutcomeUnknown: state == nil))
        }
    }

    private static func withCStrings<Value>(
        _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value
    ) -> Value {
        let copies = texts.map { text in
            let bytes = text.utf8CString
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            for (index, byte) in bytes.enumerated() { copy[index] = byte }
            return copy
        }
        defer { for copy in copies { copy.deallocate() } }
        var pointers = copies.map { Optional(UnsafePointer<CChar>($0)) }
        pointers.append(nil)
        return body(pointers)
    }
}
