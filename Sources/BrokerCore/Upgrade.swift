import NSQWire

/// The layers that IDENTIFY has settled: TLS first, then compression.
package struct Upgrade: Equatable, Sendable {
    package var tls = false
    package var compression: Compression?

    package enum Compression: Equatable, Sendable {
        case deflate(level: Int)
        case snappy

        package var isDeflate: Bool {
            if case .deflate = self { true } else { false }
        }
    }

    var isNone: Bool { self == Upgrade() }
}

/// How a connection is encrypted, and who the client has shown to be.
package struct TLSSummary: Equatable, Sendable {
    /// As `TLS1.3`.
    package var version: String
    /// By its IANA name.
    package var cipherSuite: String
    /// Of the client's certificate, if it has shown one.
    package var commonName: String?

    package init(version: String, cipherSuite: String, commonName: String?) {
        self.version = version
        self.cipherSuite = cipherSuite
        self.commonName = commonName
    }
}

/// What the edge tells of the layers that it lays. Each is followed by an `OK` that goes through
/// it.
extension Broker {
    package func hasLaidTLS(_ tls: TLSSummary, on session: Session, at now: Moment) {
        precondition(session.pendingUpgrade?.tls == true, "only what was settled is laid")
        turn.now = now
        session.tls = tls
        session.needsTLS = false
        session.pendingUpgrade?.tls = false
        goOn(session)
    }

    package func hasLaidCompression(on session: Session, at now: Moment) {
        precondition(
            session.pendingUpgrade?.compression != nil, "only what was settled is laid")
        turn.now = now
        session.compression = session.pendingUpgrade?.compression
        session.pendingUpgrade?.compression = nil
        goOn(session)
    }

    /// What the client sends does not come through its layers: it is hung up on.
    package func layersBroke(of session: Session, at now: Moment) {
        turn.now = now
        drop(session, .brokenLayer)
    }

    private func goOn(_ session: Session) {
        answerOK(session)
        guard session.pendingUpgrade?.isNone == true else { return }
        session.pendingUpgrade = nil
        session.lastHeardAt = turn.now.monotonic
        startHeartbeats(of: session)
    }
}
