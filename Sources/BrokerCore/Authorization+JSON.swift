import FoundationEssentials
import NSQWire

/// Reads an authorization server's answer. As in nsqd, one that grants nothing that holds, or
/// something unknown, is none.
extension Authorization {
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    package init(parsing json: [UInt8]) throws(Malformed) {
        let answer: Answer
        do {
            answer = try JSONDecoder().decode(Answer.self, from: Data(json))
        } catch {
            throw Malformed(description: "no JSON, or not of an authorization")
        }
        rules = []
        for entry in answer.authorizations ?? [] { rules.append(try Rule(entry)) }
        let seconds = answer.ttl ?? 0
        guard seconds > 0 else {
            throw Malformed(description: "invalid TTL \(seconds) (must be >0)")
        }
        // More than a year is as good as for ever, and does not overflow.
        timeToLive = .seconds(min(seconds, 366 * 86_400))
        identity = answer.identity ?? ""
        identityURL = answer.identityURL ?? ""
    }

    fileprivate struct Answer: Decodable {
        var ttl: Int?
        var identity: String?
        var identityURL: String?
        var authorizations: [Entry]?

        enum CodingKeys: String, CodingKey {
            case ttl, identity, authorizations
            case identityURL = "identity_url"
        }
    }

    fileprivate struct Entry: Decodable {
        var topic: String?
        var channels: [String]?
        var permissions: [String]?
    }
}

extension Authorization.Rule {
    fileprivate init(_ entry: Authorization.Entry) throws(Authorization.Malformed) {
        permissions = []
        for name in entry.permissions ?? [] {
            guard let permission = Authorization.Permission(rawValue: name) else {
                throw Authorization.Malformed(description: "unknown permission \(name)")
            }
            permissions.insert(permission)
        }
        topic = try Self.pattern(entry.topic ?? "", "topic")
        channels = []
        for text in entry.channels ?? [] { channels.append(try Self.pattern(text, "channel")) }
    }

    private static func pattern(
        _ text: String, _ what: String
    ) throws(Authorization.Malformed) -> NamePattern {
        guard let pattern = NamePattern(text) else {
            throw Authorization.Malformed(description: "unable to compile \(what) \"\(text)\"")
        }
        return pattern
    }
}
