import ArgumentParser
import Foundation
import HTTP
import NSQWire
import UVLoop

/// A destination for calls.
struct CallTarget: Sendable {
    enum Destination: Sendable {
        case standardOutput
        case http(HTTPURL)
        case https(HTTPURL)
        case nsq(SocketAddress, TopicName)
    }

    /// The value of the option `--publish-to`. It may contain secrets, or the names of environment
    /// variables with secrets.
    let text: String
    /// The client's name in the store and in the log: the value without user name, password and
    /// query string.
    let name: String
    let destination: Destination
    /// The `Authorization` header for the user name and the password in a URL; `nil` if it has
    /// none.
    let authorization: String?

    /// - Parameter variable: returns the value of an environment variable.
    /// - Throws: `ValidationError` with the flag and the reason, and without secrets.
    init(
        flag text: String, variable: (String) -> String = { Terminal.environment($0) }
    ) throws {
        do {
            try self.init(text, variable)
        } catch {
            throw ValidationError("invalid --publish-to=\(URLParts(text).publicText): \(error)")
        }
    }

    private init(_ flag: String, _ variable: (String) -> String) throws {
        let text = try URLParts(flag).expandedText(of: flag, by: variable)
        let destination = try Destination(text)
        self.text = flag
        self.destination = destination
        switch destination {
        case .http, .https:
            let parts = URLParts(text)
            name = parts.publicText
            guard let header = parts.authorization else {
                throw ValidationError("the user name or password is not UTF-8")
            }
            authorization = header.isEmpty ? nil : header
        case .standardOutput, .nsq:
            name = text
            authorization = nil
        }
    }
}

/// The parts of an HTTP URL, some of which may contain secrets.
private struct URLParts {
    /// `scheme://`.
    private let scheme: Substring
    private let userInfo: Substring?
    private let host: Substring
    private let path: Substring
    /// The query with its question mark, and everything after it.
    private let query: Substring

    init(_ text: String) {
        let start = text.firstRange(of: "://")?.upperBound ?? text.startIndex
        scheme = text[..<start]
        let rest = text[start...].prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let at = rest[..<end].lastIndex(of: "@")
        userInfo = at.map { rest[..<$0] }
        host = at.map { rest[rest.index(after: $0)..<end] } ?? rest[..<end]
        path = rest[end...].prefix { $0 != "?" }
        query = text[path.endIndex...]
    }

    /// Replaces each `${NAME}` in the user information and the query by an environment variable.
    ///
    /// - Throws: `ValidationError` if a variable is not set, or if another part of the URL contains
    ///   `${`.
    func expandedText(of text: String, by variable: (String) -> String) throws -> String {
        guard text.contains("${") else { return text }
        guard !publicText.contains("${") else {
            throw ValidationError(
                "environment variables are replaced only in the user name, the password and the "
                    + "query string")
        }
        func expanded(_ part: Substring) throws -> String {
            try SecretVariables.expanded(String(part), by: variable)
        }
        let user = try userInfo.map { try expanded($0) + "@" } ?? ""
        return "\(scheme)\(user)\(host)\(path)" + (try expanded(query))
    }

    var publicText: String { "\(scheme)\(host)\(path)" }

    /// The header of basic authorization; an empty text if the URL has no user name, and `nil` if
    /// its percent-encoding is invalid.
    var authorization: String? {
        guard let userInfo, !userInfo.isEmpty else { return "" }
        let parts = userInfo.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let decoded = parts.compactMap { $0.removingPercentEncoding }
        guard decoded.count == parts.count else { return nil }
        let credentials = decoded[0] + ":" + (decoded.count > 1 ? decoded[1] : "")
        return "Basic " + Data(credentials.utf8).base64EncodedString()
    }
}

extension CallTarget.Destination {
    fileprivate init(_ text: String) throws {
        switch text.split(separator: "://", maxSplits: 1).first?.lowercased() {
        case _ where text == "stdout": self = .standardOutput
        case "http": self = .http(try Self.url(text, .http))
        case "https": self = .https(try Self.url(text, .https))
        case "nsq": self = try Self.nsq(text)
        default:
            throw ValidationError(
                "use stdout, http://HOST:PORT/PATH, https://HOST:PORT/PATH or nsq://HOST:PORT/TOPIC"
            )
        }
    }

    private static func url(_ text: String, _ scheme: HTTPURL.Scheme) throws -> HTTPURL {
        if let defect = HTTPURL.defect(in: text) { throw ValidationError(defect) }
        guard let url = HTTPURL(parsing: text, scheme: scheme), url.address.hasUsableHostAndPort
        else {
            throw ValidationError("use \(scheme)://HOST:PORT/PATH with a port from 1 to 65535")
        }
        return url
    }

    private static func nsq(_ text: String) throws -> Self {
        let parts = text.dropFirst("nsq://".count).split(
            separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let nsqd = try? SocketAddress(parsing: parts[0]),
            nsqd.hasUsableHostAndPort
        else {
            throw ValidationError("use nsq://HOST:PORT/TOPIC with a port from 1 to 65535")
        }
        return .nsq(nsqd, try TopicName(flag: String(parts[1])))
    }
}

extension SocketAddress {
    /// Whether the host is a name or an address that a client can look up, and the port is not 0.
    fileprivate var hasUsableHostAndPort: Bool {
        let other = Set("-._~%:!$&'()*+,;=")
        return port > 0 && !host.isEmpty
            && host.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || other.contains($0)) }
    }
}
