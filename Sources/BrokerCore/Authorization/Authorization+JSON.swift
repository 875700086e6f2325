import NSQWire
import TallyJSON

/// Parsing of an authorization server's response. As in nsqd, a response is refused if the TTL is
/// not positive, a permission is unknown or a pattern is invalid.
extension Authorization {
    /// The reason why a response is invalid.
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// Parses an authorization server's JSON response.
    ///
    /// - Throws: ``Malformed`` if the response is not valid.
    package init(parsing json: [UInt8]) throws(Malformed) {
        let response: Response
        do throws(JSONError) {
            response = try Response(parsing: json)
        } catch {
            throw Malformed(description: "no JSON, or not of an authorization")
        }
        rules = []
        for entry in response.authorizations { rules.append(try Rule(entry)) }
        let seconds = response.ttl
        guard seconds > 0 else {
            throw Malformed(description: "invalid TTL \(seconds) (must be >0)")
        }
        // The limit of one year keeps the duration in nanoseconds from overflowing.
        timeToLive = .seconds(min(seconds, 366 * 86_400))
        identity = response.identity
        identityURL = response.identityURL
    }

    fileprivate struct Response {
        var ttl = 0
        var identity = ""
        var identityURL = ""
        var authorizations: [Entry] = []

        init(parsing json: [UInt8]) throws(JSONError) {
            let value = try JSONValue(parsingLikeGo: json, keptDepth: 4)
            guard case .object = value else { throw .malformed }
            try value["ttl"]?.read(into: &ttl)
            try value["identity"]?.read(into: &identity)
            try value["identity_url"]?.read(into: &identityURL)
            try value["authorizations"]?.read(into: &authorizations)
        }
    }

    fileprivate struct Entry: JSONReadable {
        var topic = ""
        var channels: [String] = []
        var permissions: [String] = []

        init?(json value: JSONValue) {
            guard case .object = value else { return nil }
            do throws(JSONError) {
                try value["topic"]?.read(into: &topic)
                try value["channels"]?.read(into: &channels)
                try value["permissions"]?.read(into: &permissions)
            } catch {
                return nil
            }
        }
    }
}

extension Authorization.Rule {
    fileprivate init(_ entry: Authorization.Entry) throws(Authorization.Malformed) {
        permissions = []
        for name in entry.permissions {
            guard let permission = Authorization.Permission(rawValue: name) else {
                throw Authorization.Malformed(description: "unknown permission \(name)")
            }
            permissions.insert(permission)
        }
        topic = try Self.pattern(entry.topic, "topic")
        channels = []
        for text in entry.channels { channels.append(try Self.pattern(text, "channel")) }
    }

    private static func pattern(
        _ text: String, _ field: String
    ) throws(Authorization.Malformed) -> NamePattern {
        guard let pattern = NamePattern(text) else {
            throw Authorization.Malformed(description: "unable to compile \(field) \"\(text)\"")
        }
        return pattern
    }
}
