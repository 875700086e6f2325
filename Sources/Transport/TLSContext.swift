import COpenSSL
import Glibc

/// The certificates, trusted CAs and TLS versions that all TLS sessions of a server or client
/// share.
package final class TLSContext: Sendable {
    // SAFETY: after the initializer, the context is not changed, and OpenSSL allows any thread to
    // create sessions of it.
    nonisolated(unsafe) let pointer: OpaquePointer
    let isServer: Bool

    /// Creates the context of a server.
    ///
    /// - Throws: `TLSSetupError` with the invalid file or setting, and the reason.
    package convenience init(server options: TLSServerOptions) throws(TLSSetupError) {
        try self.init(isServer: true, minVersion: options.minVersion, maxVersion: nil)
        try use(certificateFile: options.certificateFile, keyFile: options.keyFile)
        try setClientPolicy(options.clientAuth, rootCAFile: options.rootCAFile)
    }

    /// Creates the context of a client.
    ///
    /// - Throws: `TLSSetupError` with the invalid file or setting, and the reason.
    package convenience init(client options: TLSClientOptions) throws(TLSSetupError) {
        try self.init(
            isServer: false, minVersion: options.minVersion, maxVersion: options.maxVersion)
        switch options.trust {
        case .system: SSL_CTX_set_default_verify_paths(pointer)
        case .authorities(let file): try trust(authoritiesIn: file)
        case .certificate(let file):
            try trust(authoritiesIn: file)
            // Without this flag, OpenSSL trusts only certificates of root CAs.
            X509_VERIFY_PARAM_set_flags(
                SSL_CTX_get0_param(pointer), UInt(X509_V_FLAG_PARTIAL_CHAIN))
        case .anyone: break
        }
        SSL_CTX_set_verify(
            pointer, options.trust == .anyone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        if let certificateFile = options.certificateFile {
            try use(certificateFile: certificateFile, keyFile: options.keyFile ?? certificateFile)
        }
    }

    private init(
        isServer: Bool, minVersion: TLSVersion, maxVersion: TLSVersion?
    ) throws(TLSSetupError) {
        self.isServer = isServer
        pointer = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method())!
        ssl_context_release_idle_buffers(pointer)
        ssl_context_keep_no_sessions(pointer)
        ssl_context_refuse_renegotiation(pointer)
        // Without this callback, OpenSSL prompts for a key's passphrase on the terminal.
        SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in -1 }
        let keepsLevel = !Self.acceptsOldVersions(isServer: isServer, minVersion, maxVersion)
        guard keepsLevel || SSL_CTX_set_cipher_list(pointer, "DEFAULT:@SECLEVEL=0") == 1,
            ssl_context_set_min_version(pointer, minVersion.number) == 1,
            ssl_context_set_max_version(pointer, maxVersion?.number ?? 0) == 1
        else { throw TLSSetupError("\(minVersion.rawValue) is not supported by this OpenSSL") }
    }

    deinit { SSL_CTX_free(pointer) }

    /// Returns `true` if TLS versions before 1.2 must work. These versions use SHA-1 signatures,
    /// which OpenSSL allows only at security level 0. All other contexts have the system's level.
    ///
    /// A server accepts old clients, as nsqd does. A client usually does not lower the level, because
    /// it would then accept weak certificates from any server. Only a client that offers nothing but
    /// old versions lowers the level.
    private static func acceptsOldVersions(
        isServer: Bool, _ minVersion: TLSVersion, _ maxVersion: TLSVersion?
    ) -> Bool {
        guard !isServer else { return minVersion.number < TLS1_2_VERSION }
        return maxVersion.map { $0.number < TLS1_2_VERSION } ?? false
    }

    /// The security level of OpenSSL, from 0 to 5; see SSL_CTX_set_security_level(3).
    package var securityLevel: Int { Int(SSL_CTX_get_security_level(pointer)) }

    /// The security level that the system's configuration of OpenSSL sets.
    package static var systemSecurityLevel: Int {
        let context = SSL_CTX_new(TLS_client_method())!
        defer { SSL_CTX_free(context) }
        return Int(SSL_CTX_get_security_level(context))
    }

    private func use(certificateFile: String, keyFile: String) throws(TLSSetupError) {
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(pointer, certificateFile) == 1 else {
            throw TLSSetupError("certificate \(certificateFile): \(OpenSSLError.last)")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, keyFile, SSL_FILETYPE_PEM) == 1 else {
            throw TLSSetupError("private key \(keyFile): \(OpenSSLError.last)")
        }
    }

    private func setClientPolicy(
        _ policy: TLSServerOptions.ClientAuth, rootCAFile: String?
    ) throws(TLSSetupError) {
        if let rootCAFile {
            try trust(authoritiesIn: rootCAFile)
            // The server sends the CA names to the client, which can then choose a matching
            // certificate.
            SSL_CTX_set_client_CA_list(pointer, SSL_load_client_CA_file(rootCAFile))
        } else {
            SSL_CTX_set_default_verify_paths(pointer)
        }
        let verifyPeer = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        switch policy {
        case .none: SSL_CTX_set_verify(pointer, SSL_VERIFY_NONE, nil)
        case .require: SSL_CTX_set_verify(pointer, verifyPeer) { _, _ in 1 }
        case .requireVerified: SSL_CTX_set_verify(pointer, verifyPeer, nil)
        }
    }

    private func trust(authoritiesIn file: String) throws(TLSSetupError) {
        ERR_clear_error()
        guard SSL_CTX_load_verify_locations(pointer, file, nil) == 1 else {
            throw TLSSetupError("certificate authorities \(file): \(OpenSSLError.last)")
        }
    }
}

extension TLSVersion {
    var number: Int32 {
        switch self {
        case .tls10: TLS1_VERSION
        case .tls11: TLS1_1_VERSION
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// The errors in OpenSSL's error queue, which belongs to the current thread.
enum OpenSSLError {
    /// The text of the oldest error, which usually is the cause of the later errors. Reading this
    /// property empties OpenSSL's error queue.
    static var last: String {
        let code = ERR_get_error()
        ERR_clear_error()
        // For system errors, OpenSSL has no text; the error code contains the errno.
        if code & systemError != 0 {
            return String(cString: strerror(Int32(truncatingIfNeeded: code & ~systemError)))
        }
        guard let reason = ERR_reason_error_string(code) else { return "error \(code)" }
        return String(cString: reason)
    }

    private static let systemError: UInt = 1 << 31
}
