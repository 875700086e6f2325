/// What a client says of itself and asks for: the JSON body of IDENTIFY.
///
/// A field that is absent or `null` leaves the default. Names match in any case and unknown ones
/// are ignored, as in nsqd.
package struct Identify: Equatable, Sendable {
    package var clientID: String?
    package var hostname: String?
    package var userAgent: String?
    package var featureNegotiation: Bool?
    /// Milliseconds; 0 is the default, -1 turns heartbeats off.
    package var heartbeatInterval: Int?
    /// Bytes; 0 is the default, -1 turns buffering off.
    package var outputBufferSize: Int?
    /// Milliseconds; 0 is the default, -1 turns the timed flush off.
    package var outputBufferTimeout: Int?
    package var tls: Bool?
    package var deflate: Bool?
    package var deflateLevel: Int?
    package var snappy: Bool?
    /// Percent of the messages to receive; 0 is all of them.
    package var sampleRate: Int?
    /// Milliseconds; 0 is the default.
    package var messageTimeout: Int?
    package var topologyRegion: String?
    package var topologyZone: String?

    package init() {}

    /// Reads a body as a broker does.
    ///
    /// - Throws: `E_BAD_BODY` if it is no JSON object (or `null`) with fields of the right types.
    package init(parsing body: Bytes) throws(ProtocolError) {
        do throws(JSONError) {
            for (name, value) in try JSONObjectReader.members(of: body) ?? [] {
                if let field = Field(jsonName: name) { try read(value, as: field) }
            }
        } catch {
            throw ProtocolError(.badBody, "IDENTIFY failed to decode JSON body")
        }
    }

    /// The body as a client sends it.
    package var json: [UInt8] {
        var writer = JSONObjectWriter()
        for field in Field.allCases {
            switch field.value(of: self) {
            case let text as String: writer.add(field.rawValue, text)
            case let flag as Bool: writer.add(field.rawValue, flag)
            case let number as Int: writer.add(field.rawValue, number)
            default: break
            }
        }
        return writer.finished
    }
}

extension Identify {
    private enum Field: String, CaseIterable {
        case clientID = "client_id"
        case hostname
        case userAgent = "user_agent"
        case featureNegotiation = "feature_negotiation"
        case heartbeatInterval = "heartbeat_interval"
        case outputBufferSize = "output_buffer_size"
        case outputBufferTimeout = "output_buffer_timeout"
        case tls = "tls_v1"
        case deflate
        case deflateLevel = "deflate_level"
        case snappy
        case sampleRate = "sample_rate"
        case messageTimeout = "msg_timeout"
        case topologyRegion = "topology_region"
        case topologyZone = "topology_zone"

        func value(of identify: Identify) -> Any? {
            switch self {
            case .clientID: identify.clientID
            case .hostname: identify.hostname
            case .userAgent: identify.userAgent
            case .featureNegotiation: identify.featureNegotiation
            case .heartbeatInterval: identify.heartbeatInterval
            case .outputBufferSize: identify.outputBufferSize
            case .outputBufferTimeout: identify.outputBufferTimeout
            case .tls: identify.tls
            case .deflate: identify.deflate
            case .deflateLevel: identify.deflateLevel
            case .snappy: identify.snappy
            case .sampleRate: identify.sampleRate
            case .messageTimeout: identify.messageTimeout
            case .topologyRegion: identify.topologyRegion
            case .topologyZone: identify.topologyZone
            }
        }
    }

    private mutating func read(_ value: JSONValue, as field: Field) throws(JSONError) {
        switch field {
        case .clientID: try value.read(into: &clientID)
        case .hostname: try value.read(into: &hostname)
        case .userAgent: try value.read(into: &userAgent)
        case .featureNegotiation: try value.read(into: &featureNegotiation)
        case .heartbeatInterval: try value.read(into: &heartbeatInterval)
        case .outputBufferSize: try value.read(into: &outputBufferSize)
        case .outputBufferTimeout: try value.read(into: &outputBufferTimeout)
        case .tls: try value.read(into: &tls)
        case .deflate: try value.read(into: &deflate)
        case .deflateLevel: try value.read(into: &deflateLevel)
        case .snappy: try value.read(into: &snappy)
        case .sampleRate:
            // The one number that has 32 bits in nsqd.
            var percent: Int32?
            try value.read(into: &percent)
            sampleRate = percent.map { Int($0) } ?? sampleRate
        case .messageTimeout: try value.read(into: &messageTimeout)
        case .topologyRegion: try value.read(into: &topologyRegion)
        case .topologyZone: try value.read(into: &topologyZone)
        }
    }
}

/// The broker's answer to an IDENTIFY with feature negotiation.
package struct IdentifyAnswer: Equatable, Sendable {
    package var maxReadyCount: Int
    package var version: String
    /// Milliseconds, like every interval here.
    package var maxMessageTimeout: Int
    package var messageTimeout: Int
    package var tls: Bool
    package var deflate: Bool
    package var deflateLevel: Int
    package var maxDeflateLevel: Int
    package var snappy: Bool
    package var sampleRate: Int
    package var authRequired: Bool
    package var outputBufferSize: Int
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

    /// The answer in nsqd's order of fields.
    package var json: [UInt8] {
        var writer = JSONObjectWriter()
        writer.add(Field.maxReadyCount.rawValue, maxReadyCount)
        writer.add(Field.version.rawValue, version)
        writer.add(Field.maxMessageTimeout.rawValue, maxMessageTimeout)
        writer.add(Field.messageTimeout.rawValue, messageTimeout)
        writer.add(Field.tls.rawValue, tls)
        writer.add(Field.deflate.rawValue, deflate)
        writer.add(Field.deflateLevel.rawValue, deflateLevel)
        writer.add(Field.maxDeflateLevel.rawValue, maxDeflateLevel)
        writer.add(Field.snappy.rawValue, snappy)
        writer.add(Field.sampleRate.rawValue, sampleRate)
        writer.add(Field.authRequired.rawValue, authRequired)
        writer.add(Field.outputBufferSize.rawValue, outputBufferSize)
        writer.add(Field.outputBufferTimeout.rawValue, outputBufferTimeout)
        writer.add(Field.topologyRegion.rawValue, topologyRegion)
        writer.add(Field.topologyZone.rawValue, topologyZone)
        return writer.finished
    }

    /// Reads an answer as a client does. Fields that this nsqd does not know yet are ignored, and
    /// those that an older one does not send are 0, false or empty.
    ///
    /// - Returns: `nil` if it is not such an answer; a broker that does not negotiate says `OK`.
    package init?(parsing data: Bytes) {
        self.init(
            maxReadyCount: 0, version: "", maxMessageTimeout: 0, messageTimeout: 0, deflateLevel: 0,
            maxDeflateLevel: 0, sampleRate: 0, outputBufferSize: 0, outputBufferTimeout: 0,
            topologyRegion: "", topologyZone: "")
        do throws(JSONError) {
            guard let members = try JSONObjectReader.members(of: data) else { return nil }
            for (name, value) in members {
                if let field = Field(jsonName: name) { try read(value, as: field) }
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
