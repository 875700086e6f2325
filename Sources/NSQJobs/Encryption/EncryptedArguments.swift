import Foundation
import TallyJSON

/// Encrypted arguments of a job, as they are stored:
/// `{"$encrypted":{"algorithm":"AES-GCM","key":"2026","nonce":"…","text":"…"}}`, with the nonce and the
/// sealed text in Base64.
package struct EncryptedArguments: Hashable, Sendable {
    /// The only supported algorithm.
    private static let algorithm = "AES-GCM"
    private static let start = #"{"$encrypted":"#

    /// The name of the key.
    package let key: String
    package let nonce: [UInt8]
    /// The encrypted bytes, followed by the authentication tag.
    package let text: [UInt8]

    package init(key: String, nonce: [UInt8], text: [UInt8]) {
        self.key = key
        self.nonce = nonce
        self.text = text
    }

    /// Returns `true` for stored arguments that are encrypted.
    package static func isUsed(in arguments: String) -> Bool {
        arguments.utf8.starts(with: start.utf8)
    }

    /// The name of the key of stored arguments; `nil` if they are not encrypted.
    package static func key(of arguments: String) -> String? {
        guard isUsed(in: arguments) else { return nil }
        // The sealed text can be long, so only the members before it are parsed.
        let head = String(decoding: arguments.utf8.prefix(maxHeadBytes), as: UTF8.self)
        guard let end = head.range(of: #","nonce""#) else { return nil }
        let json = head[..<end.lowerBound] + "}}"
        return try? JobCoding.decoder.decode(StoredKey.self, from: Data(json.utf8)).encrypted.key
    }

    /// The maximum size of the members before the nonce, in bytes.
    private static let maxHeadBytes = 1_024

    private struct StoredKey: Decodable {
        struct Members: Decodable { let key: String }

        enum CodingKeys: String, CodingKey { case encrypted = "$encrypted" }

        let encrypted: Members
    }

    /// A text to show instead of encrypted arguments, such as `encrypted with key '2026'`; `nil` if the
    /// arguments are not encrypted.
    package static func summary(of arguments: String) -> String? {
        key(of: arguments).map { "encrypted with key '\($0)'" }
    }

    /// Parses stored arguments; `nil` if they are not encrypted.
    package init?(json: String) {
        guard let stored = try? JobCoding.decoder.decode(Stored.self, from: Data(json.utf8)),
            stored.encrypted.algorithm == Self.algorithm
        else { return nil }
        key = stored.encrypted.key
        nonce = Array(stored.encrypted.nonce)
        text = Array(stored.encrypted.text)
    }

    /// The arguments as they are stored.
    package var json: String {
        let members = JSONWriter.object { json in
            json.member("algorithm", Self.algorithm)
            json.member("key", key)
            json.member("nonce", Data(nonce).base64EncodedString())
            json.member("text", Data(text).base64EncodedString())
        }
        return Self.start + String(decoding: members, as: UTF8.self) + "}"
    }

    private struct Stored: Decodable {
        struct Members: Decodable {
            let algorithm: String
            let key: String
            let nonce: Data
            let text: Data
        }

        enum CodingKeys: String, CodingKey { case encrypted = "$encrypted" }

        let encrypted: Members
    }
}
