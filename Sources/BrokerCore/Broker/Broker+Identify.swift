import NSQWire
import TallyBasics

/// Execution of IDENTIFY, which negotiates settings and transport layers.
extension Broker {
    /// Executes IDENTIFY.
    ///
    /// - Returns: `false` if the body is incomplete.
    func identify(_ body: inout BodyReader, _ session: Session) throws(ProtocolError) -> Bool {
        guard let json = try smallBody(&body, of: .identify) else { return false }
        context.chargeCommand(WorkCost.json(json.count))
        let request = try Identify(parsing: json)
        try session.negotiate(request, options)
        if request.featureNegotiation == true {
            let upgrade = try upgrade(for: request, session)
            respond(to: session, response(to: request, upgrade, session).json)
            session.beginUpgrade(upgrade)
        } else {
            respondOK(to: session)
        }
        startHeartbeats(of: session)
        return true
    }

    /// Returns the requested transport layers that the broker is going to install.
    ///
    /// A request for a layer that is already installed, or that would have to be installed below
    /// another layer, is declined.
    private func upgrade(
        for request: Identify, _ session: Session
    ) throws(ProtocolError) -> Upgrade {
        let usesDeflate = options.deflateEnabled && request.deflate == true
        let usesSnappy = options.snappyEnabled && request.snappy == true
        guard !usesDeflate || !usesSnappy else {
            throw ProtocolError(
                .identifyFailed, "cannot enable both deflate and snappy compression")
        }
        // The client would receive a pending publish response in the wrong layer, because the layer
        // is installed before the sync completes.
        guard session.compression == nil, !session.hasPendingResponses else { return Upgrade() }
        return Upgrade(
            tls: options.tlsAvailable && request.tls == true && session.tls == nil,
            compression: usesDeflate
                ? .deflate(level: deflateLevel(for: request)) : usesSnappy ? .snappy : nil)
    }

    private func deflateLevel(for request: Identify) -> Int {
        let isRequested = options.deflateEnabled && request.deflate == true
        let level = isRequested ? request.deflateLevel ?? 0 : 0
        return min(level > 0 ? level : Limits.deflateLevel, options.maxDeflateLevel)
    }

    private func response(
        to request: Identify, _ upgrade: Upgrade, _ session: Session
    ) -> IdentifyResponse {
        IdentifyResponse(
            maxReadyCount: options.maxReadyCount,
            version: options.version,
            maxMessageTimeout: options.maxMessageTimeout.milliseconds,
            messageTimeout: Int(session.settings.messageTimeout / 1_000_000),
            tls: upgrade.tls,
            deflate: upgrade.compression?.isDeflate ?? false,
            deflateLevel: deflateLevel(for: request),
            maxDeflateLevel: options.maxDeflateLevel,
            snappy: upgrade.compression == .snappy,
            sampleRate: session.settings.sampleRate,
            authRequired: options.authRequired,
            outputBufferSize: session.settings.outputBufferBytes,
            outputBufferTimeout: Int(session.settings.outputBufferTimeout / 1_000_000),
            topologyRegion: session.settings.topologyRegion,
            topologyZone: session.settings.topologyZone)
    }
}
