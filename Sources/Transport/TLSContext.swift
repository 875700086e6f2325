import COpenSSL
import Glibc

/// What all sessions of a server, or of a client, have in common: certificates, trust, versions.
package final class TLSContext {
    let pointer: OpaquePointer
    let isServer: Bool

    /// - Throws: `TLSSetupError` that names the file or the setting, and what is wrong with it.
    package convenience init(server options: TLSServerOptions) throws(TLSSetupError) {
        try self.init(isServer: true, minVersion: options.minVersion, maxVersion: nil)
        try use(certificateFile: options.certificateFile, keyFile: options.keyFile)
        try ask(clients: options.clientAuth, rootCAFile: options.rootCAFile)
    }

    package convenience init(client options: TLSClientOptions) throws(TLSSetupError) {
        try self.init(
            isServer: false, minVersion: options.minVersion, maxVersion: options.maxVersion)
        switch options.trust {
        case .system: SSL_CTX_set_default_verify_paths(pointer)
        case .authorities(let file): try trust(authoritiesIn: file)
        case .anybody: break
        }
        SSL_CTX_set_verify(
            pointer, options.trust == .anybody ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
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
        // A key with a passphrase is an error; nobody is there to be asked for it.
        SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in -1 }
        // Versions before 1.2 sign with SHA-1, which OpenSSL's levels above 0 do not allow.
        let level = minVersion.number < TLS1_2_VERSION ? 0 : 1
        guard
            SSL_CTX_set_cipher_list(pointer, "DEFAULT:@SECLEVEL=\(level)") == 1,
            ssl_context_set_min_version(pointer, minVersion.number) == 1,
            ssl_context_set_max_version(pointer, maxVersion?.number ?? 0) == 1
        else { throw TLSSetupError("\(minVersion.rawValue) is not to be had from this OpenSSL") }
    }

    deinit { SSL_CTX_free(pointer) }

    private func use(certificateFile: String, keyFile: String) throws(TLSSetupError) {
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(pointer, certificateFile) == 1 else {
            throw TLSSetupError("certificate \(certificateFile): \(OpenSSLError.last)")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, keyFile, SSL_FILETYPE_PEM) == 1 else {
            throw TLSSetupError("private key \(keyFile): \(OpenSSLError.last)")
        }
    }

    private func ask(
        clients policy: TLSServerOptions.ClientAuth, rootCAFile: String?
    ) throws(TLSSetupError) {
        if let rootCAFile {
            try trust(authoritiesIn: rootCAFile)
            // Told to clients, so that one with several certificates can choose.
            SSL_CTX_set_client_CA_list(pointer, SSL_load_client_CA_file(rootCAFile))
        } else {
            SSL_CTX_set_default_verify_paths(pointer)
        }
        let demand = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        switch policy {
        case .none: SSL_CTX_set_verify(pointer, SSL_VERIFY_NONE, nil)
        case .require: SSL_CTX_set_verify(pointer, demand) { _, _ in 1 }
        case .requireVerified: SSL_CTX_set_verify(pointer, demand, nil)
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

/// OpenSSL's queue of errors, which belongs to the thread.
enum OpenSSLError {
    /// What went wrong first, in OpenSSL's words; the others follow from it.
    static var last: String {
        let code = ERR_get_error()
        ERR_clear_error()
        // The system's own errors carry their number, and have no text here.
        if code & systemError != 0 {
            return String(cString: strerror(Int32(truncatingIfNeeded: code & ~systemError)))
        }
        guard let reason = ERR_reason_error_string(code) else { return "error \(code)" }
        return String(cString: reason)
    }

    private static let systemError: UInt = 1 << 31
}
