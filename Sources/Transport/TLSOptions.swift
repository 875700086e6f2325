/// How a server identifies itself, and whom it lets in.
package struct TLSServerOptions: Sendable, Equatable {
    /// The certificate, and those that it is signed by up to a root that clients know; PEM.
    package var certificateFile: String
    /// The certificate's private key, without a passphrase; PEM.
    package var keyFile: String
    /// The authorities that a client's certificate must come from; PEM. By default the system's.
    package var rootCAFile: String?
    package var clientAuth = ClientAuth.none
    package var minVersion = TLSVersion.tls10

    /// What is asked of clients.
    package enum ClientAuth: String, Sendable {
        /// Nothing.
        case none
        /// A certificate, whoever signed it.
        case require
        /// A certificate signed by an authority that is trusted here.
        case requireVerified = "require-verify"
    }

    package init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// Whom a client trusts, and how it identifies itself.
package struct TLSClientOptions: Sendable, Equatable {
    package var trust = Trust.system
    package var minVersion = TLSVersion.tls12
    /// The newest version to offer; none is the newest there is.
    package var maxVersion: TLSVersion?
    /// PEM files, for servers that ask for a certificate.
    package var certificateFile: String?
    package var keyFile: String?

    package enum Trust: Sendable, Equatable {
        /// The authorities that the system trusts.
        case system
        /// Those in this PEM file, and no others.
        case authorities(file: String)
        /// Anybody, on machines where nobody else could answer.
        case anybody
    }

    package init() {}
}

/// The versions there are, as nsqd's flag names them.
package enum TLSVersion: String, Sendable, CaseIterable {
    case tls10 = "tls1.0"
    case tls11 = "tls1.1"
    case tls12 = "tls1.2"
    case tls13 = "tls1.3"
}

/// A certificate, a key or a version that TLS cannot be set up with.
package struct TLSSetupError: Error, Equatable, Sendable, CustomStringConvertible {
    package let reason: String

    init(_ reason: String) { self.reason = reason }

    package var description: String { "failed to build TLS config - \(reason)" }
}
