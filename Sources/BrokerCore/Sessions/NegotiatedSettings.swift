import NSQWire
import TallyBasics

/// The settings of one client after IDENTIFY. Durations are in nanoseconds.
struct NegotiatedSettings {
    private(set) var clientID: String
    private(set) var hostname: String
    private(set) var userAgent = ""
    private(set) var topologyRegion = ""
    private(set) var topologyZone = ""
    /// The interval between heartbeats; 0 if heartbeats are disabled.
    private(set) var heartbeatInterval: Int64
    private(set) var messageTimeout: Int64
    /// The percentage of messages that the client receives; 0 for all.
    private(set) var sampleRate = 0
    private(set) var outputBufferBytes = Limits.outputBufferBytes
    private(set) var outputBufferTimeout: Int64

    init(host: String, _ options: BrokerOptions) {
        clientID = host
        hostname = host
        heartbeatInterval = options.heartbeatInterval.nanoseconds
        messageTimeout = options.messageTimeout.nanoseconds
        outputBufferTimeout = options.outputBufferTimeout.nanoseconds
    }

    /// Applies the requested settings. The checks have the same order as in nsqd.
    ///
    /// - Throws: `E_BAD_BODY` at the first value that is out of range.
    mutating func apply(_ request: Identify, _ options: BrokerOptions) throws(ProtocolError) {
        clientID = request.clientID ?? ""
        hostname = request.hostname ?? ""
        userAgent = request.userAgent ?? ""
        topologyRegion = request.topologyRegion ?? ""
        topologyZone = request.topologyZone ?? ""
        try applyHeartbeat(request.heartbeatInterval ?? 0, options)
        try applyOutputBufferTimeout(request.outputBufferTimeout ?? 0, options)
        try applyOutputBuffer(request.outputBufferSize ?? 0, options)
        try applySampleRate(request.sampleRate ?? 0)
        try applyMessageTimeout(request.messageTimeout ?? 0, options)
    }

    private mutating func applyHeartbeat(
        _ milliseconds: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let longest = options.maxHeartbeatInterval.milliseconds
        switch milliseconds {
        case -1: heartbeatInterval = 0
        case 0: break
        case Limits.shortestInterval.milliseconds... where milliseconds <= longest:
            heartbeatInterval = Int64(milliseconds) * 1_000_000
        default: throw Self.invalid("heartbeat interval", milliseconds)
        }
    }

    private mutating func applyOutputBufferTimeout(
        _ milliseconds: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let shortest = options.minOutputBufferTimeout.milliseconds
        let longest = options.maxOutputBufferTimeout.milliseconds
        switch milliseconds {
        case -1: outputBufferTimeout = 0
        case 0: break
        case shortest... where milliseconds <= longest:
            outputBufferTimeout = Int64(milliseconds) * 1_000_000
        default: throw Self.invalid("output buffer timeout", milliseconds)
        }
    }

    private mutating func applyOutputBuffer(
        _ bytes: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let smallest = Limits.smallestOutputBufferBytes
        switch bytes {
        case -1:
            outputBufferBytes = 1
            outputBufferTimeout = 0
        case 0: break
        case smallest... where bytes <= options.maxOutputBufferBytes: outputBufferBytes = bytes
        default: throw Self.invalid("output buffer size", bytes)
        }
    }

    private mutating func applySampleRate(_ percent: Int) throws(ProtocolError) {
        guard (0...99).contains(percent) else { throw Self.invalid("sample rate", percent) }
        sampleRate = percent
    }

    private mutating func applyMessageTimeout(
        _ milliseconds: Int, _ options: BrokerOptions
    ) throws(ProtocolError) {
        let longest = options.maxMessageTimeout.milliseconds
        switch milliseconds {
        case 0: break
        case Limits.shortestInterval.milliseconds... where milliseconds <= longest:
            messageTimeout = Int64(milliseconds) * 1_000_000
        default: throw Self.invalid("msg timeout", milliseconds)
        }
    }

    private static func invalid(_ setting: String, _ value: Int) -> ProtocolError {
        ProtocolError(.badBody, .identify, "\(setting) (\(value)) is invalid")
    }
}
