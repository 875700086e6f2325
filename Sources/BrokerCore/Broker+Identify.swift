import NSQWire

/// IDENTIFY: what a client says of itself, what it asks for, and what it gets.
extension Broker {
    func identify(_ body: inout BodyReader, _ session: Session) throws(ProtocolError) -> Bool {
        guard let json = try smallBody(&body, of: .identify) else { return false }
        let wishes = try Identify(parsing: json)
        try session.apply(wishes, options)
        startHeartbeats(of: session)
        if wishes.featureNegotiation == true {
            respond(session, answer(to: wishes, session).json)
        } else {
            answerOK(session)
        }
        return true
    }

    private func answer(to wishes: Identify, _ session: Session) -> IdentifyAnswer {
        IdentifyAnswer(
            maxReadyCount: options.maxReadyCount,
            version: options.version,
            maxMessageTimeout: options.maxMessageTimeout.milliseconds,
            messageTimeout: Int(session.messageTimeout / 1_000_000),
            deflateLevel: min(Limits.deflateLevel, options.maxDeflateLevel),
            maxDeflateLevel: options.maxDeflateLevel,
            sampleRate: session.sampleRate,
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
        clientID = wishes.clientID ?? clientID
        hostname = wishes.hostname ?? hostname
        userAgent = wishes.userAgent ?? userAgent
        topologyRegion = wishes.topologyRegion ?? topologyRegion
        topologyZone = wishes.topologyZone ?? topologyZone
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
