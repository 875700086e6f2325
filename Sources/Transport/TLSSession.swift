import COpenSSL

/// One connection's TLS, either side of it. OpenSSL reads and writes memory here, never a socket.
package final class TLSSession: Layer {
    /// The handshake is done: what is plain may go out.
    package private(set) var isEstablished = false
    package private(set) var hasEnded = false

    private let context: TLSContext
    private let ssl: OpaquePointer
    // Owned by `ssl`.
    private let received: OpaquePointer
    private let toSend: OpaquePointer
    /// What goes into the next record; as a rule a turn's answers share one.
    private let gathered = ByteBuffer()

    /// The most that a record holds, and the most that it adds (RFC 8446, 5.2).
    private static let recordBytes = 16_384
    private static let recordOverhead = 261

    /// - Parameter serverName: for a client, the server it means to reach: its certificate must say
    ///   so, if the context verifies at all.
    package init(_ context: TLSContext, serverName: String? = nil) {
        self.context = context
        ssl = SSL_new(context.pointer)!
        received = BIO_new(BIO_s_mem())!
        toSend = BIO_new(BIO_s_mem())!
        SSL_set_bio(ssl, received, toSend)
        if context.isServer {
            SSL_set_accept_state(ssl)
        } else {
            SSL_set_connect_state(ssl)
            if let serverName { expect(serverName) }
        }
    }

    deinit { SSL_free(ssl) }

    private func expect(_ serverName: String) {
        // A number has no name to be told, but may stand in a certificate.
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName) == 1 { return }
        _ = ssl_set_server_name(ssl, serverName)
        SSL_set1_host(ssl, serverName)
    }

    // MARK: Handshake

    /// Begins or goes on with the handshake, as far as the bytes that came allow.
    ///
    /// - Throws: if there can be no agreement; `wire` then says so to the peer.
    package func shakeHands(into wire: ByteBuffer) throws(TransportError) {
        guard !isEstablished else { return }
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        let outcome = SSL_get_error(ssl, result)
        // Read before moveOut, which may clear it.
        let reason = outcome == SSL_ERROR_SSL ? handshakeFailure : nil
        moveOut(into: wire)
        switch outcome {
        case SSL_ERROR_NONE: isEstablished = true
        case SSL_ERROR_WANT_READ: break
        default: throw .tls(reason ?? "handshake broken off")
        }
    }

    /// What is wrong with the peer's certificate, or else with the handshake.
    private var handshakeFailure: String {
        let reason = OpenSSLError.last
        let verdict = SSL_get_verify_result(ssl)
        guard verdict != X509_V_OK, let text = X509_verify_cert_error_string(Int(verdict)) else {
            return reason
        }
        return "\(reason): \(String(cString: text))"
    }

    // MARK: In

    /// Takes all there is, whatever the limit: nothing gets longer here. As long as the handshake
    /// is under way nothing comes out; ``shakeHands(into:)`` goes on with it.
    package func incoming(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int = .max
    ) throws(TransportError) -> Bool {
        // What OpenSSL still holds of a record may come with it.
        if isEstablished { plain.reserve(wire.count + 2 * Self.recordBytes) }
        // Record by record, so that neither OpenSSL nor the cache has more to hold than that.
        repeat {
            let count = min(wire.count, Self.recordBytes + Self.recordOverhead)
            if count > 0 {
                let taken = BIO_write(received, wire.baseAddress, Int32(count))
                precondition(taken == count, "a memory BIO takes what it is given")
                wire = wire.dropping(count)
            }
            while isEstablished, !hasEnded, try readRecord(into: plain) {}
        } while !wire.isEmpty
        return false
    }

    /// - Returns: `false` if no whole one has come.
    private func readRecord(into plain: ByteBuffer) throws(TransportError) -> Bool {
        ERR_clear_error()
        var count: Int32 = 0
        plain.append(atLeast: Self.recordBytes) { room in
            count = SSL_read(ssl, room.baseAddress, Int32(clamping: room.count))
            return max(0, Int(count))
        }
        guard count <= 0 else { return true }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ: break
        case SSL_ERROR_ZERO_RETURN: hasEnded = true
        default: throw .tls(OpenSSLError.last)
        }
        return false
    }

    // MARK: Out

    package func outgoing(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        var rest = plain
        while !rest.isEmpty {
            if gathered.isEmpty, rest.count >= Self.recordBytes {
                let records = rest.count / Self.recordBytes + 1
                wire.reserve(rest.count + records * Self.recordOverhead)
                write(UnsafeRawBufferPointer(rebasing: rest[..<Self.recordBytes]), into: wire)
                rest = rest.dropping(Self.recordBytes)
            } else {
                // What fills no record waits for company.
                let count = min(rest.count, Self.recordBytes - gathered.count)
                gathered.append(UnsafeRawBufferPointer(rebasing: rest[..<count]))
                rest = rest.dropping(count)
                if gathered.count == Self.recordBytes { flush(into: wire) }
            }
        }
    }

    package func flush(into wire: ByteBuffer) {
        if !gathered.isEmpty {
            write(gathered.bytes, into: wire)
            gathered.clear()
        }
        moveOut(into: wire)
    }

    /// Says that nothing more will come.
    package func finish(into wire: ByteBuffer) {
        guard isEstablished else { return }
        flush(into: wire)
        ERR_clear_error()
        SSL_shutdown(ssl)
        moveOut(into: wire)
    }

    private func write(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        precondition(isEstablished, "nothing plain goes out before the handshake is done")
        ERR_clear_error()
        let written = SSL_write(ssl, plain.baseAddress, Int32(plain.count))
        // After a failed read OpenSSL writes nothing more; the connection is about to be closed.
        guard written > 0 else { return }
        precondition(written == plain.count, "a memory BIO takes what it is given")
        moveOut(into: wire)
    }

    private func moveOut(into wire: ByteBuffer) {
        let count = BIO_ctrl_pending(toSend)
        guard count > 0 else { return }
        wire.append(atLeast: count) { room in
            Int(max(0, BIO_read(toSend, room.baseAddress, Int32(clamping: count))))
        }
    }

    // MARK: What came of it

    /// The version that was agreed on; `nil` before the handshake.
    package var version: TLSVersion? {
        TLSVersion.allCases.first { isEstablished && $0.number == SSL_version(ssl) }
    }

    /// By its IANA name, such as `TLS_AES_128_GCM_SHA256`.
    package var cipherSuite: String {
        guard let cipher = SSL_get_current_cipher(ssl), let name = SSL_CIPHER_standard_name(cipher)
        else { return "" }
        return String(cString: name)
    }

    /// The common name in the peer's certificate; `nil` if it has shown none.
    package var peerCommonName: String? {
        guard let certificate = SSL_get0_peer_certificate(ssl) else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            let length = X509_NAME_get_text_by_NID(
                X509_get_subject_name(certificate), NID_commonName, text.baseAddress,
                Int32(text.count))
            return length < 0 ? nil : String(cString: text.baseAddress!)
        }
    }
}
