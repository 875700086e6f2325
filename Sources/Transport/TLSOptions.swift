/// The certificate of a TLS server, and its policy for client certificates.
package struct TLSServerOptions: Sendable, Equatable {
    /// The path of a PEM file with the server's certificate and its chain up to a root CA.
    package var certificateFile: String
    /// The path of a PEM file with the private key, which must not have a passphrase.
    package var keyFile: String
    /// The path of a PEM file with the CAs that sign client certificates; `nil` for the system's
    /// CAs.
    package var rootCAFile: String?
    /// The policy for client certificates.
    package var clientAuth = ClientAuth.none
    /// The oldest TLS version that the server accepts.
    package var minVersion = TLSVersion.tls10

    /// A policy for client certificates.
    package enum ClientAuth: String, Sendable {
        /// The server does not request a client certificate.
        case none
        /// The server requires a client certificate but does not verify it.
        case require
        /// The server requires a client certificate that is signed by a trusted CA.
        case requireVerified = "require-verify"
    }

    /// Creates options without client certificates and with all TLS versions.
    package init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// The servers that a TLS client trusts, and the client's certificate.
package struct TLSClientOptions: Sendable, Equatable {
    /// The server certificates that the client trusts.
    package var trust = Trust.system
    /// The oldest TLS version that the client accepts.
    package var minVersion = TLSVersion.tls12
    /// The newest TLS version that the client offers; `nil` for the newest that OpenSSL supports.
    package var maxVersion: TLSVersion?
    /// The path of a PEM file with the client's certificate, for servers that request one.
    package var certificateFile: String?
    /// The path of a PEM file with the private key; `nil` if ``certificateFile`` contains the key.
    package var keyFile: String?

    /// The server certificates that a client trusts.
    package enum Trust: Sendable, Equatable {
        /// Certificates signed by one of the system's CAs.
        case system
        /// Certificates signed by one of the CAs in a PEM file.
        case authorities(file: String)
        /// The certificates in a PEM file, and certificates that they have signed.
        case certificate(file: String)
        /// All certificates, without verification.
        case anyone
    }

    /// Creates options that trust the system's CAs.
    package init() {}
}

/// A TLS version. The raw value is the name of the version in nsqd's flags.
package enum TLSVersion: String, Sendable, CaseIterable {
    case tls10 = "tls1.0"
    case tls11 = "tls1.1"
    case tls12 = "tls1.2"
    case tls13 = "tls1.3"
}

/// An error in the TLS configuration: an invalid certificate, key or version.
package struct TLSSetupError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The invalid file or setting, and OpenSSL's error.
    package let reason: String

    init(_ reason: String) { self.reason = reason }

    package var description: String { "failed to build TLS config - \(reason)" }
}
