import NSQWire

/// IDENTIFY: what a client says of itself, what it asks for, and what it gets.
extension Broker {
    func identify(_ body: inout BodyReader, _ session: Session) throws(ProtocolError) -> Bool {
        guard let json = try smallBody(&body, of: .identify) else { return false }
        let wishes = try Identify(parsing: json)
        try session.apply(wishes, options)
        if wishes.featureNegotiation == true {
            let upgrade = try upgrade(for: wishes, session)
            respond(session, answer(to: wishes, upgrade, session).json)
            session.pendingUpgrade = upgrade.isNone ? nil : upgrade
        } else {
            answerOK(session)
        }
        startHeartbeats(of: session)
        return true
    }

    /// What the client gets of the layers that it asks for.
    ///
    /// A layer that it has already is declined, and so is one that would have to go below another:
    /// the connection goes on through those that it has.
    private func upgrade(
        for wishes: Identify, _ session: Session
    ) throws(ProtocolError) -> Upgrade {
        let wantsDeflate = options.deflateEnabled && wishes.deflate == true
        let wantsSnappy = options.snappyEnabled && wishes.snappy == true
        guard !wantsDeflate || !wantsSnappy else {
            throw ProtocolError(
                .identifyFailed, "cannot enable both deflate and snappy compression")
        }
        // Answers that wait for a sync could not be said before a layer is laid.
        guard session.compression == nil, session.answers.isEmpty else { return Upgrade() }
        return Upgrade(
            tls: options.tlsAvailable && wishes.tls == true && session.tls == nil,
            compression: wantsDeflate
                ? .deflate(level: deflateLevel(for: wishes)) : wantsSnappy ? .snappy : nil)
    }

    private func deflateLevel(for wishes: Identify) -> Int {
        let isWish = options.deflateEnabled && wishes.deflate == true
        let wish = isWish ? wishes.deflateLevel ?? 0 : 0
        return min(wish > 0 ? wish : Limits.deflateLevel, options.maxDeflateLevel)
    }

    private func answer(
        to wishes: Identify, _ upgrade: Upgrade, _ session: Session
    ) -> IdentifyAnswer {
        IdentifyAnswer(
            maxReadyCount: options.maxReadyCount,
            version: options.version,
            maxMessageTimeout: options.maxMessageTimeout.milliseconds,
            messageTimeout: Int(session.messageTimeout / 1_000_000),
            tls: upgrade.tls,
            deflate: upgrade.compression?.isDeflate ?? false,
            deflateLevel: deflateLevel(for: wishes),
            maxDeflateLevel: options.maxDeflateLevel,
            snappy: upgrade.compression == .snappy,
            sampleRate: session.sampleRate,
            authRequired: options.authRequired,
            outputBufferSize: session.outputBufferBytes,
            outputBufferTimeout: Int(session.outputBufferTimeout / 1_000_000),
            topologyRegion: session.topologyRegion,
            topologyZone: session.topologyZone)
    }
}

extension Session {
    /// Takes over what the client asks for, in nsqd's order of checks.
    ///
    /// - Throws: `E_BAD_BODY` at the first value that is out of range.
    fileprivate func apply(_ wishes: Identify, _ options: BrokerOptions) throws(ProtocolError) {
        clientID = wishes.clientID ?? ""
        hostname = wishes.hostname ?? ""
        userAgent = wishes.userAgent ?? ""
        topologyRegion = wishes.topologyRegion ?? ""
        topologyZone = wishes.topologyZone ?? ""
        try applyHeartbeat(wishes.heartbeatInterval ?? 0, options)
        try applyOutputBufferTimeout(wishes.outputBufferTimeout ?? 0, options)
        try applyOutputBuffer(wishes.outputBufferSize ?? 0, options)
        try applySampleRate(wishes.sampleRate ?? 0)
        try applyMessageTimeout(wishes.messageTimeout ?? 0, options)
    }

    private func applyHeartbeat(
        _ milliseconds: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let range = Limits.shortestInterval.milliseconds...options.maxHeartbeatInterval.milliseconds
        switch milliseconds {
        case -1: heartbeatInterval = 0
        case 0: break
        case range: heartbeatInterval = Int64(milliseconds) * 1_000_000
        default: throw invalid("heartbeat interval", milliseconds)
        }
    }

    private func applyOutputBufferTimeout(
        _ milliseconds: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let shortest = options.minOutputBufferTimeout.milliseconds
        let longest = options.maxOutputBufferTimeout.milliseconds
        switch milliseconds {
        case -1: outputBufferTimeout = 0
        case 0: break
        case shortest...max(shortest, longest):
            outputBufferTimeout = Int64(milliseconds) * 1_000_000
        default: throw invalid("output buffer timeout", milliseconds)
        }
    }

    private func applyOutputBuffer(_ bytes: Int, _ options: BrokerOptions) throws(ProtocolError) {
        let smallest = Limits.smallestOutputBufferBytes
        switch bytes {
        case -1:
            outputBufferBytes = 1
            outputBufferTimeout = 0
        case 0: break
        case smallest...max(smallest, options.maxOutputBufferBytes): outputBufferBytes = bytes
        default: throw invalid("output buffer size", bytes)
        }
    }

    private func applySampleRate(_ percent: Int) throws(ProtocolError) {
        guard (0...99).contains(percent) else { throw invalid("sample rate", percent) }
        sampleRate = percent
    }

    private func applyMessageTimeout(
        _ milliseconds: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let range = Limits.shortestInterval.milliseconds...options.maxMessageTimeout.milliseconds
        switch milliseconds {
        case 0: break
        case range: messageTimeout = Int64(milliseconds) * 1_000_000
        default: throw invalid("msg timeout", milliseconds)
        }
    }

    private func invalid(_ what: String, _ value: Int) -> ProtocolError {
        ProtocolError(.badBody, "IDENTIFY \(what) (\(value)) is invalid")
    }
}
