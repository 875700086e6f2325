import BrokerCore
import HTTP
import Logging
import TallyJSON
import UVLoop

/// Requests the permissions of a client from the authorization servers. The first request goes to a
/// random server. After each failure, the next server is tried.
final class Authorizer {
    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    private let client: HTTPClient
    private var isStopped = false

    init(of server: BrokerServer) {
        self.server = server
        client = HTTPClient(server.options, trusting: server.trust, on: server.loop)
    }

    /// Requests the permissions of a client.
    ///
    /// - Parameter done: runs once, with `nil` if no server responds with permissions. It does not
    ///   run after ``stop()``.
    func authorize(_ request: AuthorizationRequest, _ done: @escaping (Authorization?) -> Void) {
        let addresses = server.options.auth.httpAddresses
        let start = Int.random(in: 0..<max(1, addresses.count))
        authorize(request, (addresses[start...] + addresses[..<start])[...], done)
    }

    private func authorize(
        _ request: AuthorizationRequest, _ addresses: ArraySlice<String>,
        _ done: @escaping (Authorization?) -> Void
    ) {
        guard let address = addresses.first else { return done(nil) }
        guard let url = Self.url(of: address) else {
            failed(address, "neither http:// nor https://")
            return authorize(request, addresses.dropFirst(), done)
        }
        send(request, to: url) { [weak self] result in
            guard let self, !isStopped else { return }
            do {
                done(try Self.authorization(in: result.get()))
            } catch {
                failed(address, "\(error)")
                authorize(request, addresses.dropFirst(), done)
            }
        }
    }

    private func failed(_ address: String, _ reason: String) {
        server.logger.warning("failed to auth against \(address) - \(reason)")
    }

    /// Ignores all responses from now on.
    func stop() { isStopped = true }

    // MARK: Requests and responses

    /// Returns the URL of a server from its option, which may be only `host:port`; `nil` if it is
    /// malformed.
    static func url(of address: String) -> HTTPURL? {
        guard address.contains("://") else { return HTTPURL(parsing: "http://\(address)/auth") }
        return HTTPURL(parsing: address) ?? HTTPURL(parsing: address, scheme: .https)
    }

    private func send(
        _ request: AuthorizationRequest, to url: HTTPURL,
        _ done: @escaping (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) {
        switch server.options.auth.requestMethod {
        case "post": client.ask(url, body: request.json, done)
        default:
            var url = url
            for (name, value) in request.fields { url.append(name, value) }
            client.ask(url, done)
        }
    }

    private struct Refused: Error, CustomStringConvertible {
        let status: Int
        var description: String { "got response \(status)" }
    }

    private static func authorization(in response: HTTPClientResponse) throws -> Authorization {
        guard response.status == 200 else { throw Refused(status: response.status) }
        return try Authorization(parsing: response.body)
    }
}

extension AuthorizationRequest {
    /// The query parameters, in the order in which Go encodes them.
    fileprivate var fields: [(name: String, value: String)] {
        [
            ("common_name", commonName), ("remote_ip", remoteHost), ("secret", secret),
            ("tls", usesTLS ? "true" : "false"),
        ]
    }

    /// The same parameters as JSON; each value is an array with one element.
    fileprivate var json: [UInt8] {
        JSONWriter.object { json in
            json.member("common_name", [commonName])
            json.member("remote_ip", [remoteHost])
            json.member("secret", [secret])
            json.member("tls", [usesTLS ? "true" : "false"])
        }
    }
}
