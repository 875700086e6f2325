import NSQWire
import Transport

/// A compression that is made anew for each input.
protocol FuzzedLayer: Sendable {
    func make() -> any Layer
}

struct Deflating: FuzzedLayer {
    func make() -> any Layer { Deflate(level: 6) }
}

struct Snappy: FuzzedLayer {
    func make() -> any Layer { SnappyFrames() }
}

/// What comes through a layer, a portion at a time, as a connection takes it: nobody holds more
/// than a portion and a chunk, whatever the bytes promise.
func fuzz(_ layer: some FuzzedLayer, with bytes: Bytes) {
    let (limit, chunk) = (4096, 64 << 10)
    let stream = layer.make()
    let plain = ByteBuffer()
    var rest = bytes
    for _ in 0..<1000 {
        guard let hasMore = try? stream.incoming(&rest, into: plain, limit: limit) else { return }
        precondition(plain.count <= limit + chunk, "a portion has its bound")
        plain.clear()
        guard hasMore else { return }
    }
}
