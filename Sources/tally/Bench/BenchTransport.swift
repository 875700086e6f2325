import Transport

/// The transport of a measured connection: TCP, optionally with TLS and compression.
struct BenchTransport {
    /// The TLS context, which does not verify certificates; `nil` if TLS is not used.
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

    /// Returns `bytes` in a form that can be sent repeatedly. If compression is used, this is a
    /// compressed block that does not depend on earlier data.
    ///
    /// The load generator compresses only once. Otherwise it would be slower than the broker,
    /// because compression takes longer than decompression.
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
