import NSQWire
import Transport

/// The client's side of the feature negotiation: IDENTIFY and its response, then TLS and
/// compression. nsqd confirms each new transport layer by an `OK` through it.
struct BenchNegotiation {
    private let transport: BenchTransport
    private var step: Step

    /// The frame that the client expects next.
    private enum Step {
        case identifyResponse, tlsOK, compressionOK, done
    }

    init(_ transport: BenchTransport) {
        self.transport = transport
        step = .identifyResponse
    }

    var isDone: Bool { step == .done }

    /// The first bytes on the connection.
    var opening: [UInt8] {
        let magic = Array(Command.magic.bytes)
        var requested = Identify()
        requested.clientID = ClientIdentity.clientID(of: "bench")
        requested.hostname = ClientIdentity.hostname
        requested.userAgent = ClientIdentity.userAgent
        requested.featureNegotiation = true
        requested.tls = transport.tls != nil
        requested.deflate = transport.compression == .deflate
        requested.deflateLevel =
            requested.deflate == true ? BenchTransport.Compression.deflateLevel : nil
        requested.snappy = transport.compression == .snappy
        var bytes = magic
        Command.identify.append(body: requested.json, to: &bytes)
        return bytes
    }

    /// Handles the data of the expected frame, and adds the transport layers that the broker has
    /// granted.
    mutating func handle(_ data: [UInt8], _ layers: inout LayeredStream) throws(BenchError) {
        switch step {
        case .identifyResponse:
            try checkGrants(data)
            guard let tls = transport.tls else { return addCompression(layers) }
            layers = LayeredStream(tls: TLSSession(tls))
            step = .tlsOK
        case .tlsOK: addCompression(layers)
        case .compressionOK, .done: step = .done
        }
    }

    private mutating func addCompression(_ layers: LayeredStream) {
        guard let compression = transport.compression else { return step = .done }
        layers.add(compression.layer)
        step = .compressionOK
    }

    private func checkGrants(_ data: [UInt8]) throws(BenchError) {
        guard let response = data.withUnsafeBytes({ IdentifyResponse(parsing: $0) }) else {
            throw .declined("to negotiate")
        }
        if transport.tls != nil, !response.tls { throw .declined("TLS") }
        switch transport.compression {
        case .deflate where !response.deflate: throw .declined("deflate")
        case .snappy where !response.snappy: throw .declined("snappy")
        default: break
        }
    }
}
