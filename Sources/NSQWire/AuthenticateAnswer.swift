/// The broker's answer to an AUTH that was granted.
package struct AuthenticateAnswer: Equatable, Sendable {
    package var identity: String
    package var identityURL: String
    package var permissionCount: Int

    package init(identity: String, identityURL: String, permissionCount: Int) {
        self.identity = identity
        self.identityURL = identityURL
        self.permissionCount = permissionCount
    }

    /// In nsqd's order of fields.
    package var json: [UInt8] {
        var writer = JSONObjectWriter()
        writer.add("identity", identity)
        writer.add("identity_url", identityURL)
        writer.add("permission_count", permissionCount)
        return writer.finished
    }
}
