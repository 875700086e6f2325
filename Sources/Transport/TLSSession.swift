import COpenSSL

/// The TLS session of one connection, as server or client. OpenSSL reads from and writes to memory
/// instead of a socket.
package final class TLSSession: TransportLayer {
    /// `true` after the handshake, when plain bytes can be sent.
    package private(set) var isEstablished = false
    package private(set) var hasEnded = false

    private let context: TLSContext
    private let ssl: OpaquePointer
    // `ssl` owns both memory BIOs.
    private let inputBIO: OpaquePointer
    private let outputBIO: OpaquePointer
    /// The data of the next TLS record to send, usually all responses of a loop iteration.
    private let pending = ByteBuffer()

    /// The number of key updates of the peer since the last data.
    private var keyUpdates = 0
    /// The maximum number of consecutive key updates. Each costs a key derivation and a response,
    /// and a peer needs one in many millions of records. Go has the same limit.
    private static let maxKeyUpdates = 16

    /// The maximum number of data bytes in a TLS record (RFC 8446, 5.2).
    private static let recordBytes = 16_384
    /// The maximum number of bytes by which a TLS record is longer than its data.
    private static let recordOverhead = 261

    /// Creates a session before its handshake.
    ///
    /// - Parameter serverName: for a client that verifies certificates, the host name or IP address
    ///   that the server's certificate must contain.
    package init(_ context: TLSContext, serverName: String? = nil) {
        self.context = context
        ssl = SSL_new(context.pointer)!
        inputBIO = BIO_new(BIO_s_mem())!
        outputBIO = BIO_new(BIO_s_mem())!
        SSL_set_bio(ssl, inputBIO, outputBIO)
        countKeyUpdates()
        if context.isServer {
            SSL_set_accept_state(ssl)
        } else {
            SSL_set_connect_state(ssl)
            if let serverName { setExpectedName(serverName) }
        }
    }

    deinit { SSL_free(ssl) }

    private func countKeyUpdates() {
        // SAFETY: OpenSSL calls back only during a call with `ssl`, and only this object makes such
        // calls.
        ssl_set_message_callback(
            ssl,
            { isSent, _, contentType, bytes, count, _, session in
                guard isSent == 0, contentType == SSL3_RT_HANDSHAKE, count > 0, let bytes,
                    let session,
                    bytes.load(as: UInt8.self) == UInt8(SSL3_MT_KEY_UPDATE)
                else { return }
                Unmanaged<TLSSession>.fromOpaque(session).takeUnretainedValue().keyUpdates += 1
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Updates the keys, and requests that the peer updates its keys. TLS needs an update after many
    /// millions of records; tests request updates more often.
    package func updateKeys(into wire: ByteBuffer) {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
        SSL_do_handshake(ssl)
        moveOutput(into: wire)
    }

    private func setExpectedName(_ serverName: String) {
        // An IP address is compared with the certificate, but is not sent as the server name (SNI).
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName) == 1 { return }
        _ = ssl_set_server_name(ssl, serverName)
        SSL_set1_host(ssl, serverName)
    }

    // MARK: Handshake

    /// Starts or continues the handshake with the bytes received so far.
    ///
    /// - Throws: an error if the handshake fails. `wire` then contains a TLS alert for the peer.
    package func continueHandshake(into wire: ByteBuffer) throws(TransportError) {
        guard !isEstablished else { return }
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        let outcome = SSL_get_error(ssl, result)
        // The error is read first, because moving the output may clear OpenSSL's error queue.
        let reason = outcome == SSL_ERROR_SSL ? handshakeFailure : nil
        moveOutput(into: wire)
        switch outcome {
        case SSL_ERROR_NONE: isEstablished = true
        case SSL_ERROR_WANT_READ: break
        default: throw .tls(reason ?? "the peer ended the handshake")
        }
    }

    /// The reason why the handshake failed, including the result of the certificate verification.
    private var handshakeFailure: String {
        let reason = OpenSSLError.last
        let verification = SSL_get_verify_result(ssl)
        guard verification != X509_V_OK, let text = X509_verify_cert_error_string(Int(verification))
        else {
            return reason
        }
        return "\(reason): \(String(cString: text))"
    }

    // MARK: Receiving

    /// Decrypts all bytes in `wire`. During the handshake, the method only stores the bytes for
    /// ``continueHandshake(into:)``. The limit is ignored, because decrypted data is never longer
    /// than encrypted data.
    package func decode(
        _ wire: inout UnsafeRawBufferPointer, into plain: ByteBuffer, limit: Int = .max
    ) throws(TransportError) -> Bool {
        // The extra space is for the data of a record that OpenSSL has partly received before.
        if isEstablished { plain.reserve(wire.count + 2 * Self.recordBytes) }
        // OpenSSL receives one record at a time, so that its buffer stays small and in the CPU
        // cache.
        repeat {
            let count = min(wire.count, Self.recordBytes + Self.recordOverhead)
            if count > 0 {
                let written = BIO_write(inputBIO, wire.baseAddress, Int32(count))
                precondition(written == count, "a memory BIO accepts all bytes")
                wire = wire.dropping(count)
            }
            while isEstablished, !hasEnded, try readRecord(into: plain) {}
        } while !wire.isEmpty
        return false
    }

    /// Decrypts one record.
    ///
    /// - Returns: `true` if a record was decrypted; `false` if no complete record is available.
    private func readRecord(into plain: ByteBuffer) throws(TransportError) -> Bool {
        ERR_clear_error()
        var count: Int32 = 0
        plain.append(atLeast: Self.recordBytes) { memory in
            count = SSL_read(ssl, memory.baseAddress, Int32(clamping: memory.count))
            return max(0, Int(count))
        }
        guard keyUpdates <= Self.maxKeyUpdates else {
            throw .tls("more than \(Self.maxKeyUpdates) key updates without data")
        }
        guard count <= 0 else {
            keyUpdates = 0
            return true
        }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ: break
        case SSL_ERROR_ZERO_RETURN: hasEnded = true
        default: throw .tls(OpenSSLError.last)
        }
        return false
    }

    // MARK: Sending

    package func encode(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        var rest = plain
        while !rest.isEmpty {
            if pending.isEmpty, rest.count >= Self.recordBytes {
                let records = rest.count / Self.recordBytes + 1
                wire.reserve(rest.count + records * Self.recordOverhead)
                write(UnsafeRawBufferPointer(rebasing: rest[..<Self.recordBytes]), into: wire)
                rest = rest.dropping(Self.recordBytes)
            } else {
                // Data that does not fill a record waits for more data or for a flush.
                let count = min(rest.count, Self.recordBytes - pending.count)
                pending.append(UnsafeRawBufferPointer(rebasing: rest[..<count]))
                rest = rest.dropping(count)
                if pending.count == Self.recordBytes { flush(into: wire) }
            }
        }
    }

    package func flush(into wire: ByteBuffer) {
        if !pending.isEmpty {
            write(pending.bytes, into: wire)
            pending.clear()
        }
        moveOutput(into: wire)
    }

    /// Flushes all bytes, and ends TLS with a `close_notify` alert.
    package func finish(into wire: ByteBuffer) {
        guard isEstablished else { return }
        flush(into: wire)
        ERR_clear_error()
        SSL_shutdown(ssl)
        moveOutput(into: wire)
    }

    private func write(_ plain: UnsafeRawBufferPointer, into wire: ByteBuffer) {
        precondition(isEstablished, "data is sent only after the handshake")
        ERR_clear_error()
        let written = SSL_write(ssl, plain.baseAddress, Int32(plain.count))
        // After a failed read, OpenSSL writes nothing, and the connection is about to be closed.
        guard written > 0 else { return }
        precondition(written == plain.count, "a memory BIO accepts all bytes")
        moveOutput(into: wire)
    }

    /// Moves the records that OpenSSL has written to the end of `wire`.
    func moveOutput(into wire: ByteBuffer) {
        let count = BIO_ctrl_pending(outputBIO)
        guard count > 0 else { return }
        wire.append(atLeast: count) { memory in
            Int(max(0, BIO_read(outputBIO, memory.baseAddress, Int32(clamping: count))))
        }
    }

    // MARK: Properties of the session

    /// The negotiated TLS version; `nil` before the end of the handshake.
    package var version: TLSVersion? {
        TLSVersion.allCases.first { isEstablished && $0.number == SSL_version(ssl) }
    }

    /// The IANA name of the negotiated cipher suite, such as `TLS_AES_128_GCM_SHA256`.
    package var cipherSuite: String {
        guard let cipher = SSL_get_current_cipher(ssl), let name = SSL_CIPHER_standard_name(cipher)
        else { return "" }
        return String(cString: name)
    }

    /// The last common name in the peer's certificate, as in Go, with all its bytes; `nil` if the
    /// peer has sent no certificate or one without a common name.
    ///
    /// The name may contain zero bytes. A name that is cut at the first zero byte could be another
    /// client's.
    package var peerCommonName: String? {
        guard let certificate = SSL_get0_peer_certificate(ssl) else { return nil }
        let subject = X509_get_subject_name(certificate)
        var last: Int32 = -1
        while case let next = X509_NAME_get_index_by_NID(subject, NID_commonName, last), next >= 0 {
            last = next
        }
        guard last >= 0,
            let data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last))
        else { return nil }
        var text: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&text, data)
        guard count >= 0, let text else { return nil }
        defer { openssl_free(text) }
        return String(decoding: UnsafeBufferPointer(start: text, count: Int(count)), as: UTF8.self)
    }
}
