import Transport

/// The transport of a measured connection: plain TCP, or with TLS, compression or both.
struct BenchTransport {
    /// The TLS context, which does not verify certificates; `nil` without TLS.
    let tls: TLSContext?
    let compression: Compression?

    enum Compression {
        case deflate, snappy

        /// The default level of zlib and nsqd.
        static let deflateLevel = 6

        var layer: any TransportLayer {
            switch self {
            case .deflate: Deflate(level: Self.deflateLevel)
            case .snappy: SnappyFrames()
            }
        }
    }

    init(tls: Bool, compression: Compression?) throws(TLSSetupError) {
        var options = TLSClientOptions()
        options.trust = .anyone
        self.tls = tls ? try TLSContext(client: options) : nil
        self.compression = compression
    }

    var isPlain: Bool { tls == nil && compression == nil }

    /// Returns `bytes` in a form that can be sent repeatedly: with compression, as a block that
    /// does not depend on earlier data.
    ///
    /// The load generator compresses only once, because compression takes longer than the broker's
    /// decompression.
    func prepared(_ bytes: [UInt8]) -> [UInt8] {
        guard let layer = compression?.layer else { return bytes }
        let buffer = ByteBuffer()
        bytes.withUnsafeBytes { layer.encode($0, into: buffer) }
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
