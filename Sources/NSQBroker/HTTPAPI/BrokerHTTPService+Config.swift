import GoFlags
import HTTP
import TallyJSON

/// Handles `/config/…`, which reads and changes options. The names of the options are the keys of
/// nsqd's configuration file.
extension BrokerHTTPService {
    func option(_ name: String) throws(HTTPFailure) -> HTTPResponse {
        guard let option = ServerOption.named(key: name) else { throw .invalidOption }
        return switch option.value(in: server.options).configResponse {
        case .text(let text): .plain(text)
        case .json(let bytes): .nsqJSON(bytes)
        }
    }

    /// Changes an option that can change at run time, and returns its new value.
    func setOption(_ name: String, _ body: [UInt8]) throws(HTTPFailure) -> HTTPResponse {
        guard !body.isEmpty else { throw .valueTooBig }
        switch name {
        case "nsqlookupd_tcp_addresses":
            guard let value = try? JSONValue(parsingLikeGo: body, keptDepth: 1),
                let addresses = [String](json: value)
            else { throw .invalidValue }
            server.changeOptions { $0.lookup.tcpAddresses = addresses }
        case "log_level":
            guard let level = LogLevel(text: String(decoding: body, as: UTF8.self))
            else { throw .invalidValue }
            server.changeOptions { $0.log.level = level }
        default: throw .invalidOption
        }
        return try option(name)
    }
}
