import NSQWire
import Transport

/// The client's half of a negotiation: IDENTIFY and its answer, then each layer and the OK that
/// comes through it.
struct BenchNegotiation {
    private let transport: BenchTransport
    private var step: Step

    /// What is waited for.
    private enum Step {
        case answer, okOfTLS, okOfCompression, nothing
    }

    init(_ transport: BenchTransport) {
        self.transport = transport
        step = transport.isPlain ? .nothing : .answer
    }

    var isDone: Bool { step == .nothing }

    /// What the connection begins with.
    var opening: [UInt8] {
        let magic = Array(Command.magic.bytes)
        guard !isDone else { return magic }
        var wishes = Identify()
        wishes.featureNegotiation = true
        wishes.tls = transport.tls != nil
        wishes.deflate = transport.compression == .deflate
        wishes.deflateLevel = wishes.deflate == true ? BenchTransport.Compression.deflateLevel : nil
        wishes.snappy = transport.compression == .snappy
        var bytes = magic
        Command.identify.append(body: wishes.json, to: &bytes)
        return bytes
    }

    /// Takes the data of the frame that was waited for, and lays what it grants.
    mutating func take(_ data: [UInt8], _ layers: inout LayeredStream) throws(BenchError) {
        switch step {
        case .answer:
            try expectGrant(data)
            guard let tls = transport.tls else { return layCompression(layers) }
            layers = LayeredStream(tls: TLSSession(tls))
            step = .okOfTLS
        case .okOfTLS: layCompression(layers)
        case .okOfCompression, .nothing: step = .nothing
        }
    }

    private mutating func layCompression(_ layers: LayeredStream) {
        guard let compression = transport.compression else { return step = .nothing }
        layers.add(compression.layer)
        step = .okOfCompression
    }

    private func expectGrant(_ data: [UInt8]) throws(BenchError) {
        guard let answer = data.withUnsafeBytes({ IdentifyAnswer(parsing: $0) }) else {
            throw .declined("to negotiate")
        }
        if transport.tls != nil, !answer.tls { throw .declined("TLS") }
        switch transport.compression {
        case .deflate where !answer.deflate: throw .declined("deflate")
        case .snappy where !answer.snappy: throw .declined("snappy")
        default: break
        }
    }
}
