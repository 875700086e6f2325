import NSQWire
import TallyBasics

/// Parsing and execution of the commands that clients send, and the responses to them.
extension Broker {
    /// Executes the complete commands that a client has sent, within the session's share of the
    /// iteration's budget. If the budget postpones commands, ``Session/hasPostponedInput`` is `true`
    /// afterwards, and the caller passes the remaining bytes again in the next iteration.
    ///
    /// - Returns: the number of consumed bytes. The caller passes the remaining bytes again,
    ///   followed by newly received bytes, once there are at least ``Session/neededBytes`` bytes.
    package func receive(_ bytes: Bytes, from session: Session, at now: Timestamp) -> Int {
        context.setTime(now)
        var offset = 0
        session.beginInput()
        context.beginCommands(of: session)
        while !session.isEnded, !session.isWaiting {
            guard context.hasCommandSteps else {
                postponeInput(bytes, offset, of: session)
                break
            }
            guard parseCommand(bytes, at: &offset, from: session) else { break }
        }
        context.endCommands(of: session)
        return session.isEnded ? bytes.count : offset
    }

    /// Postpones the commands from the byte offset `offset` on, if there is a complete command line.
    private func postponeInput(_ bytes: Bytes, _ offset: Int, of session: Session) {
        var end = offset
        if case .incomplete = CommandLine.next(in: bytes, at: &end) { return }
        session.postponeInput()
    }

    /// Parses and executes one command, or a series of consecutive FINs.
    ///
    /// - Returns: `false` if the command cannot be executed yet, because it is incomplete or waits
    ///   for an authorization.
    private func parseCommand(_ bytes: Bytes, at offset: inout Int, from session: Session) -> Bool {
        guard session.phase != .awaitingMagic else {
            return parseMagic(bytes, at: &offset, from: session)
        }
        if let channel = session.subscription.channel,
            case let count = channel.finishRun(bytes, at: &offset, by: session), count > 0
        {
            session.didReceiveData(at: context.now.monotonic)
            context.chargeCommand(count)
        }
        var end = offset
        switch CommandLine.next(in: bytes, at: &end) {
        case .incomplete: return false
        case .tooLong:
            closeConnection(of: session, reason: .lineTooLong)
            return true
        case .line(let line):
            session.didReceiveData(at: context.now.monotonic)
            context.chargeCommand(1)
            return execute(line, bytes, &offset, end, session)
        }
    }

    /// Parses the protocol magic. A wrong magic ends the session.
    ///
    /// - Returns: `false` if the magic is incomplete.
    private func parseMagic(_ bytes: Bytes, at offset: inout Int, from session: Session) -> Bool {
        guard bytes.count >= Command.magicBytes else { return false }
        guard bytes.prefix(Command.magicBytes).elementsEqual(Command.magic.bytes) else {
            fail(session, ProtocolError(bare: .badProtocol))
            return true
        }
        offset = Command.magicBytes
        session.didReceiveMagic()
        session.didReceiveData(at: context.now.monotonic)
        startHeartbeats(of: session)
        return true
    }

    /// Executes one command, and advances `offset` past it.
    ///
    /// - Parameters:
    ///   - offset: the byte offset of the command line in `bytes`.
    ///   - end: the byte offset after the command line.
    /// - Returns: `false` if the body is incomplete or the command waits for an authorization.
    private func execute(
        _ line: CommandLine, _ bytes: Bytes, _ offset: inout Int, _ end: Int, _ session: Session
    ) -> Bool {
        do throws(ProtocolError) {
            try session.checkIsAllowed(line)
            var body = BodyReader(bytes: bytes, commandStart: offset, offset: end)
            guard try execute(line, &body, session) else {
                session.awaitInput(body.neededBytes)
                return false
            }
            session.didExecuteCommand()
            offset = body.offset
        } catch {
            fail(session, error)
            offset = end
        }
        return true
    }

    /// Sends an error to the client, and closes the connection afterwards if the error is fatal.
    func fail(_ session: Session, _ error: ProtocolError) {
        session.send(Frame.bytes(.error, error.data))
        context.chargeCommand(WorkCost.failure)
        if error.isFatal {
            // Closing the connection requeues the messages in flight, so this work is charged here.
            context.chargeCommand(session.subscription.inFlightCount)
            session.end()
        }
        context.events.append(.clientFailed(session.id, error))
        context.pending.add(session)
    }

    /// Closes the connection without an error frame.
    func closeConnection(of session: Session, reason: CloseReason) {
        session.end()
        context.events.append(.connectionClosed(session.id, reason: reason))
        context.pending.add(session)
    }

    /// Sends a response frame with `data`.
    func respond(to session: Session, _ data: some Collection<UInt8>) {
        session.send(Frame.bytes(.response, data))
        context.pending.add(session)
    }

    func respondOK(to session: Session) {
        session.sendOK()
        context.pending.add(session)
    }
}
