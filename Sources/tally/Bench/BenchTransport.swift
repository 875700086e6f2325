import Transport

/// What lies between a measured connection and the nsqd: nothing, TLS, compression, or both.
struct BenchTransport {
    /// `nil`: without TLS. Certificates are not looked at.
    let tls: TLSContext?
    let compression: Compression?

    enum Compression {
        case deflate, snappy

        /// zlib's usual level, which is nsqd's as well.
        static let deflateLevel = 6

        var layer: any Layer {
            switch self {
            case .deflate: Deflate(level: Self.deflateLevel)
            case .snappy: SnappyFrames()
            }
        }
    }

    init(tls: Bool, compression: Compression?) throws(TLSSetupError) {
        var options = TLSClientOptions()
        options.trust = .anybody
        self.tls = tls ? try TLSContext(client: options) : nil
        self.compression = compression
    }

    var isPlain: Bool { tls == nil && compression == nil }

    /// `bytes` in a form that can be sent any number of times on end: it refers to nothing that
    /// came before it.
    ///
    /// A loader has to be faster than any broker, and compressing takes longer than its opposite.
    func prepared(_ bytes: [UInt8]) -> [UInt8] {
        guard let layer = compression?.layer else { return bytes }
        let buffer = ByteBuffer()
        bytes.withUnsafeBytes { layer.outgoing($0, into: buffer) }
        layer.flush(into: buffer)
        return Array(buffer.bytes)
    }
}

extension BenchTransport: CustomStringConvertible {
    var description: String {
        let compressed: String? =
            switch compression {
            case .deflate: "deflate"
            case .snappy: "snappy"
            case nil: nil
            }
        return [tls == nil ? nil : "TLS", compressed].compactMap { $0 }.joined(separator: ", ")
    }
}
