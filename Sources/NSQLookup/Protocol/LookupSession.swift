import Logging
import NSQWire
import TallyBasics

/// The server's side of one connection with nsqlookupd's protocol V1. A pure value: no I/O, and
/// time is an argument.
///
/// - SeeAlso: `nsqlookupd/lookup_protocol_v1.go` in NSQ.
package struct LookupSession {
    /// The ID of the connection.
    package let id: PeerID
    /// The client's address, for the log.
    package let address: String

    private var reader = LookupFrameReader()
    private var phase = Phase.greeting

    private enum Phase {
        /// The client has not sent the magic yet.
        case greeting
        /// The client has not identified itself.
        case anonymous
        case identified
        /// The server closes the connection.
        case closed
    }

    /// The result of input: what the connection has to send and log, and whether it closes.
    package struct Output {
        /// The bytes to send.
        package var bytes: [UInt8] = []
        /// The lines to log.
        package var log: [LogLine] = []
        /// `true` if the connection closes after the bytes are sent.
        package var closes = false
    }

    /// A line of the log.
    package struct LogLine: Equatable, Sendable {
        package var level: Logger.Level
        package var text: String

        init(_ level: Logger.Level, _ text: String) {
            self.level = level
            self.text = text
        }
    }

    /// Creates the state of a new connection.
    package init(_ id: PeerID, address: String) {
        self.id = id
        self.address = address
    }

    /// `true` if the client has identified itself as an nsqd.
    package var isIdentified: Bool {
        if case .identified = phase { true } else { false }
    }

    private var isClosed: Bool {
        if case .closed = phase { true } else { false }
    }

    // MARK: Input

    /// Executes the complete commands in the received bytes.
    ///
    /// - Parameters:
    ///   - bytes: the received bytes. An incomplete command at the end is stored until the rest
    ///     arrives.
    ///   - table: the table that the commands change.
    ///   - identity: the addresses of this nsqlookupd, for the response to IDENTIFY.
    package mutating func receive(
        _ bytes: some Sequence<UInt8>, _ table: inout RegistrationTable,
        identity: @autoclosure () -> LookupIdentity, at now: Timestamp
    ) -> Output {
        var output = Output()
        guard !isClosed else { return output }
        reader.append(bytes)
        while !isClosed, let unit = reader.next() {
            do throws(ProtocolError) {
                let response = try process(unit, &table, identity, at: now, &output.log)
                if let response { Self.append(response, to: &output.bytes) }
            } catch {
                fail(error, &output)
            }
        }
        output.closes = isClosed
        return output
    }

    /// Ends the session of a client that has shut down its side.
    package mutating func endInput() -> Output {
        var output = Output()
        switch reader.end {
        case _ where isClosed: break
        case .inMagic:
            output.log.append(LogLine(.error, "failed to read protocol version - EOF"))
        case .betweenCommands: output.log.append(LogLine(.error, "client(\(address)) - EOF"))
        case .inBodyLength:
            fail(Self.badBody("IDENTIFY failed to read body size"), cause: "EOF", &output)
        case .inBody:
            fail(Self.badBody("IDENTIFY failed to read body"), cause: "unexpected EOF", &output)
        }
        phase = .closed
        output.closes = true
        return output
    }

    /// Removes the registrations of a connection that has closed.
    package mutating func disconnect(_ table: inout RegistrationTable) -> [LogLine] {
        var log: [LogLine] = []
        if case .greeting = phase {
        } else {
            log.append(LogLine(.info, "PROTOCOL(V1): [\(address)] exiting ioloop"))
        }
        phase = .closed
        log += table.remove(id).map {
            LogLine(.info, "DB: client(\(address)) UNREGISTER \($0)")
        }
        return log
    }

    // MARK: Commands

    private mutating func process(
        _ unit: LookupFrameReader.Unit, _ table: inout RegistrationTable,
        _ identity: () -> LookupIdentity, at now: Timestamp, _ log: inout [LogLine]
    ) throws(ProtocolError) -> [UInt8]? {
        switch unit {
        case .magic(let magic):
            try greet(magic, &log)
            return nil
        case .line(let line): return try execute(LookupLine(line), &table, at: now, &log)
        case .body(let body):
            try identify(body, &table, at: now, &log)
            return identity().json
        case .badBodyLength(let length):
            throw Self.badBody(
                length < 0
                    ? "IDENTIFY invalid body size \(length)"
                    : "IDENTIFY body too big \(length) > \(LookupFrameReader.maxBodyBytes)")
        case .lineTooLong:
            throw ProtocolError(.invalid, "command line longer than \(Limits.lineBytes) bytes")
        }
    }

    private mutating func greet(_ magic: [UInt8], _ log: inout [LogLine]) throws(ProtocolError) {
        let text = String(decoding: magic, as: UTF8.self)
        log.append(LogLine(.info, "CLIENT(\(address)): desired protocol magic '\(text)'"))
        guard magic.elementsEqual("\(LookupCommand.magic)".utf8) else {
            log.append(LogLine(.error, "client(\(address)) bad protocol magic '\(text)'"))
            throw ProtocolError(bare: .badProtocol)
        }
        phase = .anonymous
    }

    /// - Returns: the response; `nil` if the command is IDENTIFY, whose body has to be received
    ///   first.
    private mutating func execute(
        _ line: LookupLine, _ table: inout RegistrationTable, at now: Timestamp,
        _ log: inout [LogLine]
    ) throws(ProtocolError) -> [UInt8]? {
        switch String(decoding: line.verb, as: UTF8.self) {
        case "PING": ping(&table, at: now, &log)
        case "IDENTIFY":
            guard !isIdentified else { throw ProtocolError(.invalid, "cannot IDENTIFY again") }
            reader.expectBody()
            return nil
        case "REGISTER": return try register(line, &table, at: now, &log)
        case "UNREGISTER": try unregister(line, &table, &log)
        default: throw ProtocolError(.invalid, Array("invalid command ".utf8) + line.verb)
        }
        return Array("OK".utf8)
    }

    private func ping(
        _ table: inout RegistrationTable, at now: Timestamp, _ log: inout [LogLine]
    ) {
        // An nsqd may send PING before it identifies itself.
        guard let age = table.ping(from: id, at: now) else { return }
        let text = GoText.duration(nanoseconds: age.nanoseconds)
        log.append(LogLine(.info, "CLIENT(\(address)): pinged (last ping \(text))"))
    }

    private mutating func identify(
        _ body: [UInt8], _ table: inout RegistrationTable, at now: Timestamp,
        _ log: inout [LogLine]
    ) throws(ProtocolError) {
        guard let info = try? PeerInfo(parsing: body, remoteAddress: address) else {
            throw Self.badBody("IDENTIFY failed to decode JSON body")
        }
        guard info.isComplete else { throw Self.badBody("IDENTIFY missing fields") }
        log.append(
            LogLine(
                .info,
                "CLIENT(\(address)): IDENTIFY Address:\(info.broadcastAddress) TCP:\(info.tcpPort) "
                    + "HTTP:\(info.httpPort) Version:\(info.version)"))
        table.add(id, info, at: now)
        phase = .identified
        log.append(LogLine(.info, "DB: client(\(address)) REGISTER \(Registration.client)"))
    }

    private func register(
        _ line: LookupLine, _ table: inout RegistrationTable, at now: Timestamp,
        _ log: inout [LogLine]
    ) throws(ProtocolError) -> [UInt8] {
        let (topic, channel) = try identifiedNames(line)
        do throws(RegistrationLimitReached) {
            for registration in try table.register(topic, channel, by: id, at: now) {
                log.append(LogLine(.info, "DB: client(\(address)) REGISTER \(registration)"))
            }
            return Array("OK".utf8)
        } catch {
            // The connection stays open. Otherwise the nsqd would reconnect and repeat all its
            // registrations.
            let refusal = ProtocolError(.invalid, "REGISTER too many registrations")
            log.append(LogLine(.error, "[\(address)] - \(refusal)"))
            return refusal.data
        }
    }

    private func unregister(
        _ line: LookupLine, _ table: inout RegistrationTable, _ log: inout [LogLine]
    ) throws(ProtocolError) {
        let (topic, channel) = try identifiedNames(line)
        let removed = table.unregister(topic, channel, by: id)
        for registration in removed.unexpected {
            log.append(
                LogLine(.warning, "client(\(address)) unexpected UNREGISTER \(registration)"))
        }
        if let registration = removed.expected {
            log.append(LogLine(.info, "DB: client(\(address)) UNREGISTER \(registration)"))
        }
    }

    private func identifiedNames(
        _ line: LookupLine
    ) throws(ProtocolError) -> (TopicName, ChannelName?) {
        guard isIdentified else { throw ProtocolError(.invalid, "client must IDENTIFY") }
        return try line.names()
    }

    // MARK: Responses

    /// Ends the session with an error. nsqlookupd closes the connection after every error of the
    /// protocol.
    private mutating func fail(_ error: ProtocolError, cause: String? = nil, _ output: inout Output)
    {
        Self.append(error.data, to: &output.bytes)
        if error.code != .badProtocol {
            let cause = cause.map { " - \($0)" } ?? ""
            output.log.append(LogLine(.error, "[\(address)] - \(error)\(cause)"))
            output.log.append(LogLine(.error, "client(\(address)) - \(error)"))
        }
        phase = .closed
    }

    private static func badBody(_ text: String) -> ProtocolError { ProtocolError(.badBody, text) }

    /// Appends a response: four bytes with the size, and the data. Unlike in nsqd's protocol, there
    /// is no frame type.
    private static func append(_ response: [UInt8], to bytes: inout [UInt8]) {
        bytes.append(bigEndian: Int32(response.count))
        bytes += response
    }
}
