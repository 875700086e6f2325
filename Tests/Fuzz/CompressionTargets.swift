import NSQWire
import Transport

/// Creates a compression layer for each input.
protocol FuzzedLayer: Sendable {
    func make() -> any TransportLayer
}

struct Deflating: FuzzedLayer {
    func make() -> any TransportLayer { Deflate(level: 6) }
}

struct Snappy: FuzzedLayer {
    func make() -> any TransportLayer { SnappyFrames() }
}

/// Decodes bytes with a limit per call, as a connection does. No call may append more bytes than the
/// limit plus one chunk.
func fuzz(_ layer: some FuzzedLayer, with bytes: Bytes) {
    let (limit, chunk) = (4096, 64 << 10)
    let stream = layer.make()
    let plain = ByteBuffer()
    var rest = bytes
    for _ in 0..<1000 {
        guard let hasMore = try? stream.decode(&rest, into: plain, limit: limit) else { return }
        precondition(plain.count <= limit + chunk, "a call respects its limit")
        plain.clear()
        guard hasMore else { return }
    }
}
