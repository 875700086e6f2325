import NSQWire

/// What a client may do, as an authorization server said for its secret.
package struct Authorization {
    package var identity: String
    package var identityURL: String
    package var rules: [Rule]
    /// How long it holds; then the server is asked again.
    package var timeToLive: Duration

    package struct Rule {
        var topic: NamePattern
        var channels: [NamePattern]
        var permissions: Set<Permission>
    }

    package enum Permission: String {
        case subscribe, publish
    }

    /// Publishing has no channel: to nsqd that is one with an empty name, which a pattern has to
    /// match as well.
    func allows(_ topic: TopicName, _ channel: ChannelName?) -> Bool {
        let permission = channel == nil ? Permission.publish : .subscribe
        return rules.contains { rule in
            rule.permissions.contains(permission) && rule.topic.matches(topic.text)
                && rule.channels.contains { $0.matches(channel?.text ?? "") }
        }
    }

    /// What the client is told.
    var answer: [UInt8] {
        AuthenticateAnswer(
            identity: identity, identityURL: identityURL, permissionCount: rules.count
        ).json
    }
}

/// What an authorization server is asked about a client.
package struct AuthorizationQuestion: Equatable, Sendable {
    package var secret: String
    /// The client's address, without a port.
    package var remoteHost: String
    package var usesTLS: Bool
    /// Of the client's certificate; empty if it has shown none.
    package var commonName: String
}

/// AUTH, and what it allows.
extension Broker {
    func authenticate(
        _ body: inout BodyReader, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard let secret = try smallBody(&body, of: .authenticate) else { return false }
        guard session.authorization == nil else {
            throw ProtocolError(.invalid, "AUTH already set")
        }
        guard options.authRequired else { throw ProtocolError(.authDisabled, "AUTH disabled") }
        session.secret = String(decoding: secret, as: UTF8.self)
        ask(about: session)
        return true
    }

    /// Whether the client may do that.
    ///
    /// - Returns: `false` if the authorization server is to be asked again first: the command waits.
    /// - Throws: `E_AUTH_FIRST`, `E_UNAUTHORIZED`.
    @inline(__always)
    func permit(
        _ verb: Verb, _ topic: TopicName, _ channel: ChannelName? = nil, to session: Session
    ) throws(ProtocolError) -> Bool {
        guard options.authRequired else { return true }
        return try isAuthorized(verb, topic, channel, session)
    }

    private func isAuthorized(
        _ verb: Verb, _ topic: TopicName, _ channel: ChannelName?, _ session: Session
    ) throws(ProtocolError) -> Bool {
        guard let authorization = session.authorization else {
            throw ProtocolError(.authFirst, "AUTH required before \(verb.rawValue)")
        }
        guard turn.now.monotonic < session.authorizedUntil else {
            ask(about: session)
            return false
        }
        if channel == nil, session.lastPermittedTopic == topic { return true }
        guard authorization.allows(topic, channel) else {
            throw ProtocolError(
                .unauthorized,
                "AUTH failed for \(verb.rawValue) on \"\(topic)\" \"\(channel?.text ?? "")\"")
        }
        if channel == nil { session.lastPermittedTopic = topic }
        return true
    }

    private func ask(about session: Session) {
        session.question = AuthorizationQuestion(
            secret: session.secret, remoteHost: session.host, usesTLS: session.tls != nil,
            commonName: session.tls?.commonName ?? "")
    }

    /// The authorization server has answered ``Session/question``.
    ///
    /// - Parameter answer: `nil` if none was to be had.
    package func hasAnswer(_ answer: Authorization?, for session: Session, at now: Moment) {
        turn.now = now
        guard session.question != nil, !session.isEnded else { return }
        session.question = nil
        session.lastHeardAt = now.monotonic
        // The client is not told why: that is between us and the server.
        guard let answer else { return fail(session, ProtocolError(.authFailed, "AUTH failed")) }
        let isFirst = session.authorization == nil
        session.authorization = answer
        session.authorizedUntil = now.monotonic + answer.timeToLive.nanoseconds
        session.lastPermittedTopic = nil
        guard isFirst else { return }
        guard !answer.rules.isEmpty else {
            return fail(session, ProtocolError(.unauthorized, "AUTH no authorizations found"))
        }
        respond(session, answer.answer)
    }
}
