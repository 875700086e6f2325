import NSQWire
import TallyBasics

/// The transport layers that IDENTIFY has negotiated. TLS is installed before compression.
package struct Upgrade: Equatable, Sendable {
    /// `true` if TLS is negotiated.
    package var tls = false
    /// The negotiated compression; `nil` if none is requested or allowed.
    package var compression: Compression?

    /// A compression for both directions of a connection.
    package enum Compression: Equatable, Sendable {
        case deflate(level: Int)
        case snappy

        /// `true` for deflate with any level.
        package var isDeflate: Bool {
            if case .deflate = self { true } else { false }
        }
    }

    var isEmpty: Bool { self == Upgrade() }
}

/// The TLS parameters of a connection, and the client's identity in its certificate.
package struct TLSSummary: Equatable, Sendable {
    /// The protocol version, for example `TLS1.3`.
    package var version: String
    /// The cipher suite's IANA name.
    package var cipherSuite: String
    /// The common name of the client's certificate; `nil` without a certificate.
    package var commonName: String?

    /// Creates a summary of one connection's TLS parameters.
    package init(version: String, cipherSuite: String, commonName: String?) {
        self.version = version
        self.cipherSuite = cipherSuite
        self.commonName = commonName
    }
}

/// The installed and the pending transport layers of one connection.
struct NegotiatedUpgrade {
    private(set) var pendingUpgrade: Upgrade?
    private(set) var tls: TLSSummary?
    private(set) var compression: Upgrade.Compression?
    /// `true` if only IDENTIFY is allowed, because TLS is required and not installed yet.
    private(set) var requiresTLS: Bool

    init(requiresTLS: Bool) { self.requiresTLS = requiresTLS }

    mutating func begin(_ upgrade: Upgrade) { pendingUpgrade = upgrade.isEmpty ? nil : upgrade }

    mutating func didInstallTLS(_ tls: TLSSummary) {
        precondition(pendingUpgrade?.tls == true, "only a negotiated layer is installed")
        self.tls = tls
        requiresTLS = false
        pendingUpgrade?.tls = false
        endIfComplete()
    }

    mutating func didInstallCompression() {
        precondition(
            pendingUpgrade?.compression != nil, "only a negotiated layer is installed")
        compression = pendingUpgrade?.compression
        pendingUpgrade?.compression = nil
        endIfComplete()
    }

    private mutating func endIfComplete() {
        if pendingUpgrade?.isEmpty == true { pendingUpgrade = nil }
    }
}

extension Broker {
    /// Continues the upgrade after the TCP layer has installed TLS. The `OK` response is the first
    /// data sent through TLS.
    package func didInstallTLS(_ tls: TLSSummary, on session: Session, at now: Timestamp) {
        context.setTime(now)
        session.didInstallTLS(tls)
        continueAfterUpgrade(session)
    }

    /// Continues the upgrade after the TCP layer has installed the negotiated compression. The `OK`
    /// response is the first compressed data.
    package func didInstallCompression(on session: Session, at now: Timestamp) {
        context.setTime(now)
        session.didInstallCompression()
        continueAfterUpgrade(session)
    }

    /// Closes the connection because its TLS or compressed data is invalid.
    package func closeForBrokenLayer(of session: Session, at now: Timestamp) {
        context.setTime(now)
        closeConnection(of: session, reason: .brokenLayer)
    }

    private func continueAfterUpgrade(_ session: Session) {
        respondOK(to: session)
        guard session.pendingUpgrade == nil else { return }
        session.didReceiveData(at: context.now.monotonic)
        startHeartbeats(of: session)
    }
}
