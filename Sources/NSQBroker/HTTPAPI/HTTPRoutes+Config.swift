import BrokerCore
import FoundationEssentials
import HTTP
import Logging
import UVLoop

/// `/config/…`: options by the names that nsqd's configuration file has for them.
extension HTTPRoutes {
    func option(_ name: String) throws(HTTPFailure) -> HTTPResponse {
        guard let value = value(of: name) else { throw .invalidOption }
        // A string is not JSON here, but the bare text.
        if let text = value as? String { return .plain(text) }
        return .json(JSONWriter.value(value))
    }

    /// - Returns: the new value.
    func setOption(_ name: String, _ body: [UInt8]) throws(HTTPFailure) -> HTTPResponse {
        guard !body.isEmpty else { throw .valueTooBig }
        switch name {
        case "nsqlookupd_tcp_addresses":
            guard let addresses = try? JSONDecoder().decode([String].self, from: Data(body))
            else { throw .invalidValue }
            server.lookupdAddresses = addresses
        case "log_level":
            guard let level = Logger.Level(nsqdName: String(decoding: body, as: UTF8.self))
            else { throw .invalidValue }
            server.logger.logLevel = level
        default: throw .invalidOption
        }
        return try option(name)
    }

    /// Lengths of time are in nanoseconds.
    private func value(of name: String) -> (any JSONWritable)? {
        let options = broker.options
        func nanoseconds(_ duration: Duration) -> Int { Int(duration.nanoseconds) }
        return switch name {
        case "broadcast_address": server.hostname
        case "broadcast_http_port": server.httpAddress?.port ?? 0
        case "broadcast_tcp_port": server.tcpAddress?.port ?? 0
        case "http_address": server.httpAddress?.description ?? ""
        case "log_level": server.logger.logLevel.nsqdNumber
        case "max_body_size": options.maxBodyBytes
        case "max_channel_consumers": options.maxChannelConsumers
        case "max_deflate_level": options.maxDeflateLevel
        case "max_heartbeat_interval": nanoseconds(options.maxHeartbeatInterval)
        case "max_msg_size": options.maxMessageBytes
        case "max_msg_timeout": nanoseconds(options.maxMessageTimeout)
        case "max_output_buffer_size": options.maxOutputBufferBytes
        case "max_output_buffer_timeout": nanoseconds(options.maxOutputBufferTimeout)
        case "max_rdy_count": options.maxReadyCount
        case "max_req_timeout": nanoseconds(options.maxRequeueTimeout)
        case "mem_queue_size": options.memoryQueueSize
        case "min_output_buffer_timeout": nanoseconds(options.minOutputBufferTimeout)
        case "msg_timeout": nanoseconds(options.messageTimeout)
        case "nsqlookupd_tcp_addresses": server.lookupdAddresses
        case "output_buffer_timeout": nanoseconds(options.outputBufferTimeout)
        case "tcp_address": server.tcpAddress?.description ?? ""
        default: nil
        }
    }
}

extension Logger.Level {
    fileprivate init?(nsqdName name: String) {
        switch name.lowercased() {
        case "debug": self = .debug
        case "info": self = .info
        case "warn": self = .warning
        case "error": self = .error
        case "fatal": self = .critical
        default: return nil
        }
    }

    fileprivate var nsqdNumber: Int {
        switch self {
        case .trace, .debug: 1
        case .info, .notice: 2
        case .warning: 3
        case .error: 4
        case .critical: 5
        }
    }
}
