import TallyJSON

/// The broker's response to an IDENTIFY with feature negotiation: the negotiated settings.
package struct IdentifyResponse: Equatable, Sendable {
    /// The maximum RDY count.
    package var maxReadyCount: Int
    /// The broker's version.
    package var version: String
    /// The maximum message timeout in milliseconds.
    package var maxMessageTimeout: Int
    /// The message timeout in milliseconds.
    package var messageTimeout: Int
    /// `true` if the connection is upgraded to TLS after this response.
    package var tls: Bool
    /// `true` if the connection is compressed with deflate after this response.
    package var deflate: Bool
    package var deflateLevel: Int
    package var maxDeflateLevel: Int
    /// `true` if the connection is compressed with snappy after this response.
    package var snappy: Bool
    /// The percentage of messages that the client receives; 0 for all.
    package var sampleRate: Int
    /// `true` if the client must send AUTH.
    package var authRequired: Bool
    /// The output buffer size in bytes.
    package var outputBufferSize: Int
    /// The output buffer timeout in milliseconds.
    package var outputBufferTimeout: Int
    package var topologyRegion: String
    package var topologyZone: String

    private enum Field: String {
        case maxReadyCount = "max_rdy_count"
        case version
        case maxMessageTimeout = "max_msg_timeout"
        case messageTimeout = "msg_timeout"
        case tls = "tls_v1"
        case deflate
        case deflateLevel = "deflate_level"
        case maxDeflateLevel = "max_deflate_level"
        case snappy
        case sampleRate = "sample_rate"
        case authRequired = "auth_required"
        case outputBufferSize = "output_buffer_size"
        case outputBufferTimeout = "output_buffer_timeout"
        case topologyRegion = "topology_region"
        case topologyZone = "topology_zone"
    }

    package init(
        maxReadyCount: Int, version: String, maxMessageTimeout: Int, messageTimeout: Int,
        tls: Bool = false, deflate: Bool = false, deflateLevel: Int, maxDeflateLevel: Int,
        snappy: Bool = false, sampleRate: Int, authRequired: Bool = false, outputBufferSize: Int,
        outputBufferTimeout: Int, topologyRegion: String, topologyZone: String
    ) {
        self.maxReadyCount = maxReadyCount
        self.version = version
        self.maxMessageTimeout = maxMessageTimeout
        self.messageTimeout = messageTimeout
        self.tls = tls
        self.deflate = deflate
        self.deflateLevel = deflateLevel
        self.maxDeflateLevel = maxDeflateLevel
        self.snappy = snappy
        self.sampleRate = sampleRate
        self.authRequired = authRequired
        self.outputBufferSize = outputBufferSize
        self.outputBufferTimeout = outputBufferTimeout
        self.topologyRegion = topologyRegion
        self.topologyZone = topologyZone
    }

    /// The response as JSON, with its fields in nsqd's order.
    package var json: [UInt8] {
        JSONWriter.object { json in
            json.member(Field.maxReadyCount.rawValue, maxReadyCount)
            json.member(Field.version.rawValue, version)
            json.member(Field.maxMessageTimeout.rawValue, maxMessageTimeout)
            json.member(Field.messageTimeout.rawValue, messageTimeout)
            json.member(Field.tls.rawValue, tls)
            json.member(Field.deflate.rawValue, deflate)
            json.member(Field.deflateLevel.rawValue, deflateLevel)
            json.member(Field.maxDeflateLevel.rawValue, maxDeflateLevel)
            json.member(Field.snappy.rawValue, snappy)
            json.member(Field.sampleRate.rawValue, sampleRate)
            json.member(Field.authRequired.rawValue, authRequired)
            json.member(Field.outputBufferSize.rawValue, outputBufferSize)
            json.member(Field.outputBufferTimeout.rawValue, outputBufferTimeout)
            json.member(Field.topologyRegion.rawValue, topologyRegion)
            json.member(Field.topologyZone.rawValue, topologyZone)
        }
    }

    /// Parses a response. Unknown fields are ignored, and absent fields are 0, `false` or empty.
    ///
    /// - Returns: `nil` if the response is not a JSON object. A broker that does not negotiate
    ///   sends `OK`, for example.
    package init?(parsing data: Bytes) {
        self.init(
            maxReadyCount: 0, version: "", maxMessageTimeout: 0, messageTimeout: 0, deflateLevel: 0,
            maxDeflateLevel: 0, sampleRate: 0, outputBufferSize: 0, outputBufferTimeout: 0,
            topologyRegion: "", topologyZone: "")
        do throws(JSONError) {
            guard let members = try JSONValue.flatObject(parsingLikeGo: data) else { return nil }
            for member in members {
                if let field = Field(jsonName: member.name) { try read(member.value, as: field) }
            }
        } catch {
            return nil
        }
    }

    private mutating func read(_ value: JSONValue, as field: Field) throws(JSONError) {
        switch field {
        case .maxReadyCount: try value.read(into: &maxReadyCount)
        case .version: try value.read(into: &version)
        case .maxMessageTimeout: try value.read(into: &maxMessageTimeout)
        case .messageTimeout: try value.read(into: &messageTimeout)
        case .tls: try value.read(into: &tls)
        case .deflate: try value.read(into: &deflate)
        case .deflateLevel: try value.read(into: &deflateLevel)
        case .maxDeflateLevel: try value.read(into: &maxDeflateLevel)
        case .snappy: try value.read(into: &snappy)
        case .sampleRate: try value.read(into: &sampleRate)
        case .authRequired: try value.read(into: &authRequired)
        case .outputBufferSize: try value.read(into: &outputBufferSize)
        case .outputBufferTimeout: try value.read(into: &outputBufferTimeout)
        case .topologyRegion: try value.read(into: &topologyRegion)
        case .topologyZone: try value.read(into: &topologyZone)
        }
    }
}
