import NSQWire
import TallyBasics

/// Execution of AUTH, and the permission checks of other commands.
extension Broker {
    /// Executes AUTH.
    ///
    /// - Returns: `false` if the body is incomplete.
    func authenticate(
        _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard let secret = try smallBody(&body, of: .authenticate) else { return false }
        guard session.authorization == nil else {
            throw ProtocolError(.invalid, .authenticate, "already set")
        }
        guard options.authRequired else {
            throw ProtocolError(.authDisabled, .authenticate, "disabled")
        }
        session.requestAuthorization(secret: String(decoding: secret, as: UTF8.self))
        return true
    }

    /// Checks that the client is permitted to execute a command.
    ///
    /// - Parameter channel: the channel of a SUB command; `nil` for publishing commands.
    /// - Returns: `true` if the client has the permission; `false` if the authorization has expired
    ///   and the command waits until the authorization is renewed.
    /// - Throws: `E_AUTH_FIRST` before AUTH, and `E_UNAUTHORIZED` without the permission.
    @inline(__always)
    func checkPermission(
        _ verb: Verb, _ topic: TopicName, _ channel: ChannelName? = nil, of session: Session
    ) throws(ProtocolError) -> Bool {
        guard options.authRequired else { return true }
        return try checkAuthorization(verb, topic, channel, of: session)
    }

    private func checkAuthorization(
        _ verb: Verb, _ topic: TopicName, _ channel: ChannelName?, of session: Session
    ) throws(ProtocolError) -> Bool {
        guard session.authorization != nil else {
            throw ProtocolError(.authFirst, .authenticate, "required before \(verb.rawValue)")
        }
        guard session.isAuthorizationValid(at: context.now.monotonic) else {
            session.requestAuthorization()
            return false
        }
        guard session.isAuthorized(topic, channel) else {
            throw ProtocolError(
                .unauthorized,
                .authenticate,
                "failed for \(verb.rawValue) on \"\(topic)\" \"\(channel?.text ?? "")\"")
        }
        return true
    }

    /// Completes a pending ``Session/authorizationRequest``.
    ///
    /// - Parameter authorization: the granted authorization; `nil` if no authorization server has
    ///   granted one.
    package func completeAuthorization(
        _ authorization: Authorization?, for session: Session, at now: Timestamp
    ) {
        context.setTime(now)
        guard session.authorizationRequest != nil, !session.isEnded else { return }
        let isFirst = session.authorization == nil
        session.completeAuthorization(authorization, at: now.monotonic)
        session.didReceiveData(at: now.monotonic)
        // As in nsqd, the error does not contain the reason.
        guard let authorization else {
            return fail(session, ProtocolError(.authFailed, .authenticate, "failed"))
        }
        guard isFirst else { return }
        guard !authorization.rules.isEmpty else {
            return fail(
                session, ProtocolError(.unauthorized, .authenticate, "no authorizations found"))
        }
        respond(to: session, authorization.response)
    }
}
