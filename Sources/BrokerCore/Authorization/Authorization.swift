import NSQWire

/// The permissions that an authorization server has granted to a client.
package struct Authorization {
    package var identity: String
    package var identityURL: String
    package var rules: [Rule]
    /// The period for which the authorization is valid. After this period, the broker requests the
    /// authorization again.
    package var timeToLive: Duration

    /// A rule that grants permissions for the topics and channels whose names match its patterns.
    package struct Rule {
        var topic: NamePattern
        var channels: [NamePattern]
        var permissions: Set<Permission>
    }

    /// A permission. The raw value is the permission's name in the authorization server's response.
    package enum Permission: String {
        case subscribe, publish
    }

    /// Returns `true` if a rule allows the client to publish to the topic (without `channel`), or
    /// to subscribe to the channel.
    ///
    /// For publishing, nsqd matches the channel patterns against an empty channel name, and so does
    /// this method.
    func allows(_ topic: TopicName, _ channel: ChannelName?) -> Bool {
        let permission = channel == nil ? Permission.publish : .subscribe
        return rules.contains { rule in
            rule.permissions.contains(permission) && rule.topic.matches(topic.text)
                && rule.channels.contains { $0.matches(channel?.text ?? "") }
        }
    }

    /// The data of the response frame that answers a successful AUTH.
    var response: [UInt8] {
        AuthenticateResponse(
            identity: identity, identityURL: identityURL, permissionCount: rules.count
        ).json
    }
}

/// A request to an authorization server.
package struct AuthorizationRequest: Equatable, Sendable {
    package var secret: String
    /// The client's address, without a port.
    package var remoteHost: String
    package var usesTLS: Bool
    /// The common name of the client's certificate; empty without a certificate.
    package var commonName: String
}
