import BrokerCore
import HTTP
import Logging
import UVLoop

/// Asks authorization servers what a client may do: one after the other, from a random one on,
/// until one has an answer.
final class Authorizer {
    // It lives as long as its server, which holds it.
    private unowned let server: BrokerServer
    private let client: HTTPClient
    private var isStopped = false

    init(of server: BrokerServer) {
        self.server = server
        client = HTTPClient(server.options, on: server.loop)
    }

    /// - Parameter done: called once; with `nil` if none has an answer.
    func ask(_ question: AuthorizationQuestion, _ done: @escaping (Authorization?) -> Void) {
        let addresses = server.options.auth.httpAddresses
        let start = Int.random(in: 0..<max(1, addresses.count))
        ask(question, (addresses[start...] + addresses[..<start])[...], done)
    }

    private func ask(
        _ question: AuthorizationQuestion, _ addresses: ArraySlice<String>,
        _ done: @escaping (Authorization?) -> Void
    ) {
        guard let address = addresses.first else { return done(nil) }
        guard let url = Self.url(of: address) else {
            failed(address, "neither http:// nor https://")
            return ask(question, addresses.dropFirst(), done)
        }
        send(question, to: url) { [weak self] result in
            guard let self, !isStopped else { return }
            do {
                done(try Self.authorization(in: result.get()))
            } catch {
                failed(address, "\(error)")
                ask(question, addresses.dropFirst(), done)
            }
        }
    }

    private func failed(_ address: String, _ reason: String) {
        server.logger.warning("failed to auth against \(address) - \(reason)")
    }

    /// No answer is of interest any more.
    func stop() { isStopped = true }

    // MARK: On the wire

    static func url(of address: String) -> HTTPURL? {
        guard address.contains("://") else { return HTTPURL(parsing: "http://\(address)/auth") }
        return HTTPURL(parsing: address) ?? HTTPURL(parsing: address, scheme: .https)
    }

    private func send(
        _ question: AuthorizationQuestion, to url: HTTPURL,
        _ done: @escaping (Result<HTTPAnswer, HTTPClientError>) -> Void
    ) {
        switch server.options.auth.requestMethod {
        case "post": client.ask(url, body: question.json, done)
        default:
            var url = url
            for (name, value) in question.fields { url.append(name, value) }
            client.ask(url, done)
        }
    }

    private struct Refused: Error, CustomStringConvertible {
        let status: Int
        var description: String { "got response \(status)" }
    }

    private static func authorization(in answer: HTTPAnswer) throws -> Authorization {
        guard answer.status == 200 else { throw Refused(status: answer.status) }
        return try Authorization(parsing: answer.body)
    }
}

extension AuthorizationQuestion {
    /// In the order that Go puts them.
    fileprivate var fields: [(name: String, value: String)] {
        [
            ("common_name", commonName), ("remote_ip", remoteHost), ("secret", secret),
            ("tls", usesTLS ? "true" : "false"),
        ]
    }

    /// Each value is an array of one.
    fileprivate var json: [UInt8] {
        JSONWriter.object { json in
            json.member("common_name", [commonName])
            json.member("remote_ip", [remoteHost])
            json.member("secret", [secret])
            json.member("tls", [usesTLS ? "true" : "false"])
        }
    }
}
