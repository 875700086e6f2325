import FoundationEssentials
import HTTP

/// `/config/…`: options by the names that nsqd's configuration file has for them.
extension HTTPRoutes {
    func option(_ name: String) throws(HTTPFailure) -> HTTPResponse {
        guard let option = ServerOption.named(key: name) else { throw .invalidOption }
        return switch option.value(in: server.options).answer {
        case .text(let text): .plain(text)
        case .json(let bytes): .json(bytes)
        }
    }

    /// - Returns: the new value.
    func setOption(_ name: String, _ body: [UInt8]) throws(HTTPFailure) -> HTTPResponse {
        guard !body.isEmpty else { throw .valueTooBig }
        switch name {
        case "nsqlookupd_tcp_addresses":
            guard let addresses = try? JSONDecoder().decode([String].self, from: Data(body))
            else { throw .invalidValue }
            server.change { $0.lookup.tcpAddresses = addresses }
        case "log_level":
            guard let level = LogLevel(text: String(decoding: body, as: UTF8.self))
            else { throw .invalidValue }
            server.change { $0.log.level = level }
        default: throw .invalidOption
        }
        return try option(name)
    }
}
