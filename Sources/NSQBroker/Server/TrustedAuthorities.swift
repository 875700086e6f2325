import Transport

/// The certificate authorities that a broker trusts in its own requests.
///
/// The TLS context is created at its first use, because loading the system's certificate authorities is
/// expensive.
final class TrustedAuthorities {
    private let options: TLSClientOptions
    private var loaded: TLSContext?

    init(_ tls: TLSOptions) { options = tls.client }

    /// The context of new connections; `nil` if the files cannot be read.
    var context: TLSContext? {
        if loaded == nil { loaded = try? TLSContext(client: options) }
        return loaded
    }

    /// Reads the files again if they are in use.
    ///
    /// - Throws: `TLSSetupError` if they cannot be read. The previous files then stay in use.
    func reload() throws(TLSSetupError) {
        if loaded != nil { loaded = try TLSContext(client: options) }
    }
}
