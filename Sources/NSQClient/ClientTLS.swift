import Transport

/// The TLS settings of connections to nsqd.
///
/// ```swift
/// var options = ClientOptions()
/// options.tls = try ClientTLS(trust: .authorities(file: "ca.pem"))
/// ```
///
/// The initializer reads all files. The settings can be shared by any number of clients. Like nsqd, the
/// client does not negotiate an application protocol (ALPN).
public struct ClientTLS: Sendable {
    /// The nsqd certificates that a client trusts.
    public struct Trust: Sendable, Equatable {
        let value: TLSClientOptions.Trust

        /// Certificates that are signed by one of the system's CAs and contain the server name. This
        /// is the default.
        public static let system = Self(value: .system)

        /// Certificates that are signed by a CA in a PEM file and contain the server name.
        public static func authorities(file: String) -> Self {
            Self(value: .authorities(file: file))
        }

        /// The certificates in a PEM file, and certificates that they have signed. The server name is
        /// verified only if `serverName` is set.
        public static func certificate(file: String) -> Self {
            Self(value: .certificate(file: file))
        }

        /// All certificates, without verification. An attacker in the network can then read and
        /// change the messages.
        public static let insecureWithoutVerification = Self(value: .anyone)
    }

    /// A version of TLS.
    public enum Version: String, Sendable, CaseIterable {
        /// TLS 1.0 and 1.1, which are not secure any more.
        case tls10 = "tls1.0", tls11 = "tls1.1"
        /// TLS 1.2 and 1.3.
        case tls12 = "tls1.2", tls13 = "tls1.3"
    }

    let context: TLSContext
    private let serverName: String?
    private let verifiesHost: Bool

    /// Reads the certificates and checks the settings.
    ///
    /// - Parameters:
    ///   - trust: the nsqd certificates to trust.
    ///   - certificateFile: the path of a PEM file with the client's certificate, for an nsqd that
    ///     requires one; nil (the default) for none.
    ///   - keyFile: the path of a PEM file with the private key, which must not have a passphrase;
    ///     nil (the default) if `certificateFile` contains the key.
    ///   - serverName: the host name or IP address that nsqd's certificate must contain; nil (the
    ///     default) for the host of nsqd's address.
    ///   - minVersion: the oldest version that the client accepts, TLS 1.2 by default.
    /// - Throws: ``NSQError/Code/invalidOption`` if a file cannot be used.
    public init(
        trust: Trust = .system, certificateFile: String? = nil, keyFile: String? = nil,
        serverName: String? = nil, minVersion: Version = .tls12
    ) throws(NSQError) {
        var options = TLSClientOptions()
        options.trust = trust.value
        options.certificateFile = certificateFile
        options.keyFile = keyFile
        options.minVersion = TLSVersion(rawValue: minVersion.rawValue)!
        guard keyFile == nil || certificateFile != nil else {
            throw .invalidOption("a TLS private key (\(keyFile!)) requires a certificate file")
        }
        do throws(TLSSetupError) {
            context = try TLSContext(client: options)
        } catch {
            throw .invalidOption("cannot use the TLS settings: \(error.reason)")
        }
        self.serverName = serverName
        if case .certificate = options.trust { verifiesHost = false } else { verifiesHost = true }
    }

    /// Creates the session of one connection to the nsqd at `host`.
    func session(to host: String) -> TLSSession {
        let host = host.isEmpty ? "127.0.0.1" : host
        return TLSSession(context, serverName: serverName ?? (verifiesHost ? host : nil))
    }
}
