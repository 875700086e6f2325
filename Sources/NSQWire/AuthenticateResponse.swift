import TallyJSON

/// The JSON response to a successful AUTH.
package struct AuthenticateResponse: Equatable, Sendable {
    /// The name that the authorization server returned.
    package var identity: String
    /// The URL that the authorization server returned.
    package var identityURL: String
    /// The number of authorization rules.
    package var permissionCount: Int

    package init(identity: String, identityURL: String, permissionCount: Int) {
        self.identity = identity
        self.identityURL = identityURL
        self.permissionCount = permissionCount
    }

    /// The response as JSON, with its fields in nsqd's order.
    package var json: [UInt8] {
        JSONWriter.object { json in
            json.member("identity", identity)
            json.member("identity_url", identityURL)
            json.member("permission_count", permissionCount)
        }
    }
}
