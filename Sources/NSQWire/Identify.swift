import FoundationEssentials

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
        do {
            self = try JSONDecoder().decode(Identify?.self, from: Data(body)) ?? Identify()
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

extension Identify: Decodable {
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

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: AnyKey.self)
        for key in container.allKeys {
            guard let field = Field(rawValue: key.stringValue.lowercased()) else { continue }
            func text() throws -> String? {
                try container.decodeIfPresent(String.self, forKey: key)
            }
            func flag() throws -> Bool? { try container.decodeIfPresent(Bool.self, forKey: key) }
            func number() throws -> Int? { try container.decodeIfPresent(Int.self, forKey: key) }
            switch field {
            case .clientID: clientID = try text()
            case .hostname: hostname = try text()
            case .userAgent: userAgent = try text()
            case .featureNegotiation: featureNegotiation = try flag()
            case .heartbeatInterval: heartbeatInterval = try number()
            case .outputBufferSize: outputBufferSize = try number()
            case .outputBufferTimeout: outputBufferTimeout = try number()
            case .tls: tls = try flag()
            case .deflate: deflate = try flag()
            case .deflateLevel: deflateLevel = try number()
            case .snappy: snappy = try flag()
            case .sampleRate: sampleRate = try number()
            case .messageTimeout: messageTimeout = try number()
            case .topologyRegion: topologyRegion = try text()
            case .topologyZone: topologyZone = try text()
            }
        }
    }
}

/// The broker's answer to an IDENTIFY with feature negotiation.
package struct IdentifyAnswer: Equatable, Sendable, Codable {
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

    package enum CodingKeys: String, CodingKey {
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
        writer.add(CodingKeys.maxReadyCount.rawValue, maxReadyCount)
        writer.add(CodingKeys.version.rawValue, version)
        writer.add(CodingKeys.maxMessageTimeout.rawValue, maxMessageTimeout)
        writer.add(CodingKeys.messageTimeout.rawValue, messageTimeout)
        writer.add(CodingKeys.tls.rawValue, tls)
        writer.add(CodingKeys.deflate.rawValue, deflate)
        writer.add(CodingKeys.deflateLevel.rawValue, deflateLevel)
        writer.add(CodingKeys.maxDeflateLevel.rawValue, maxDeflateLevel)
        writer.add(CodingKeys.snappy.rawValue, snappy)
        writer.add(CodingKeys.sampleRate.rawValue, sampleRate)
        writer.add(CodingKeys.authRequired.rawValue, authRequired)
        writer.add(CodingKeys.outputBufferSize.rawValue, outputBufferSize)
        writer.add(CodingKeys.outputBufferTimeout.rawValue, outputBufferTimeout)
        writer.add(CodingKeys.topologyRegion.rawValue, topologyRegion)
        writer.add(CodingKeys.topologyZone.rawValue, topologyZone)
        return writer.finished
    }

    /// Reads an answer as a client does.
    ///
    /// - Returns: `nil` if it is not such an answer; a broker that does not negotiate says `OK`.
    package init?(parsing data: Bytes) {
        guard let answer = try? JSONDecoder().decode(Self.self, from: Data(data)) else {
            return nil
        }
        self = answer
    }
}

/// Writes a flat JSON object in the order its fields are added, which `JSONEncoder` does not keep.
struct JSONObjectWriter {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    var finished: [UInt8] { bytes + [UInt8(ascii: "}")] }

    mutating func add(_ name: String, _ value: Int) { add(name, raw: String(value)) }
    mutating func add(_ name: String, _ value: Bool) { add(name, raw: value ? "true" : "false") }

    mutating func add(_ name: String, _ value: String) {
        var quoted = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\" + String(scalar)
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        add(name, raw: quoted + "\"")
    }

    private mutating func add(_ name: String, raw: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        bytes.append(contentsOf: "\"\(name)\":\(raw)".utf8)
    }
}
