import GoFlags
import HTTP
import NSQBroker
import UVLoop

/// The routes of `/config`.
extension AdminAPI {
    func option(
        _ name: String, for request: HTTPRequest
    ) throws(AdminFailure) -> HTTPResponse {
        try checkConfigAccess(request)
        guard let option = AdminOption.named(key: name) else { throw .invalidOption }
        return switch option.value(in: options).configResponse {
        case .text(let text): .plain(text)
        case .json(let bytes): .nsqJSON(bytes)
        }
    }

    func setOption(
        _ name: String, _ request: HTTPRequest
    ) throws(AdminFailure) -> HTTPResponse {
        try checkConfigAccess(request)
        guard !request.body.isEmpty else { throw .valueTooBig }
        switch name {
        case "nsqlookupd_http_addresses":
            guard let addresses = AdminOption.addresses(in: request.body) else {
                throw .invalidValue
            }
            setLookupds(addresses)
        case "log_level":
            let text = String(decoding: request.body, as: UTF8.self)
            guard let level = AdminOption.logLevel(text) else { throw .invalidValue }
            setLogLevel(level)
        default: throw .invalidOption
        }
        return try option(name, for: request)
    }

    private func checkConfigAccess(_ request: HTTPRequest) throws(AdminFailure) {
        guard let range = AddressRange(options.allowConfigFrom) else { return }
        guard let address = try? SocketAddress(parsing: request.peer),
            range.contains(address.host)
        else { throw .forbidden }
    }
}
