import TallyJSON

/// The JSON body of IDENTIFY: the client's description and the settings that it requests.
///
/// An absent or `null` field requests the default. As in nsqd, field names are case-insensitive,
/// and unknown fields are ignored.
package struct Identify: Equatable, Sendable {
    /// The client's name for itself.
    package var clientID: String?
    /// The name of the client's host.
    package var hostname: String?
    /// The client library and its version, such as `go-nsq/1.1.0`.
    package var userAgent: String?
    /// `true` requests a response with the negotiated settings instead of `OK`.
    package var featureNegotiation: Bool?
    /// The heartbeat interval in milliseconds; 0 requests the default, -1 disables heartbeats.
    package var heartbeatInterval: Int?
    /// The output buffer size in bytes; 0 requests the default, -1 disables buffering.
    package var outputBufferSize: Int?
    /// The output buffer timeout in milliseconds; 0 requests the default, -1 disables the timeout.
    package var outputBufferTimeout: Int?
    /// `true` requests TLS.
    package var tls: Bool?
    /// `true` requests deflate compression.
    package var deflate: Bool?
    /// The requested deflate level; 0 requests the default.
    package var deflateLevel: Int?
    /// `true` requests snappy compression.
    package var snappy: Bool?
    /// The percentage of messages that the client receives; 0 requests all messages.
    package var sampleRate: Int?
    /// The message timeout in milliseconds; 0 requests the default.
    package var messageTimeout: Int?
    package var topologyRegion: String?
    package var topologyZone: String?

    /// Creates an IDENTIFY body without fields, which requests all defaults.
    package init() {}

    /// Parses an IDENTIFY body with nsqd's leniency.
    ///
    /// - Throws: `E_BAD_BODY` if the body is neither `null` nor a JSON object, or if a known field
    ///   has a value of the wrong type.
    package init(parsing body: Bytes) throws(ProtocolError) {
        do throws(JSONError) {
            for member in try JSONValue.flatObject(parsingLikeGo: body) ?? [] {
                if let field = Field(jsonName: member.name) { try read(member.value, as: field) }
            }
        } catch {
            throw ProtocolError(.badBody, .identify, "failed to decode JSON body")
        }
    }

    /// The body as JSON, with all fields that are not `nil`.
    package var json: [UInt8] {
        JSONWriter.object { json in
            for field in Field.allCases {
                switch field.value(of: self) {
                case let text as String: json.member(field.rawValue, text)
                case let flag as Bool: json.member(field.rawValue, flag)
                case let number as Int: json.member(field.rawValue, number)
                default: break
                }
            }
        }
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
            // nsqd parses this field as a 32-bit integer.
            var percent: Int32?
            try value.read(into: &percent)
            sampleRate = percent.map { Int($0) } ?? sampleRate
        case .messageTimeout: try value.read(into: &messageTimeout)
        case .topologyRegion: try value.read(into: &topologyRegion)
        case .topologyZone: try value.read(into: &topologyZone)
        }
    }
}
