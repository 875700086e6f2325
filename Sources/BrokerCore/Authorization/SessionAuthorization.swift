import NSQWire
import TallyBasics

/// The authorization of one session, and the pending request for it.
struct SessionAuthorization {
    private var secret = ""
    private(set) var granted: Authorization?
    /// The time on the monotonic clock, in nanoseconds, at which the authorization expires.
    private var validUntil: Int64 = 0
    /// The topic of the last successful check for publishing. The next check of the same topic
    /// skips the slow pattern matching.
    private var lastAllowedTopic: TopicName?
    private(set) var request: AuthorizationRequest?

    /// Creates a request for the authorization server.
    ///
    /// - Parameters:
    ///   - secret: the secret of the client's AUTH command; `nil` repeats the secret of the last
    ///     request.
    ///   - host: the client's address, without a port.
    ///   - tls: the client's TLS connection; `nil` without TLS.
    mutating func beginRequest(secret: String?, host: String, tls: TLSSummary?) {
        self.secret = secret ?? self.secret
        request = AuthorizationRequest(
            secret: self.secret, remoteHost: host, usesTLS: tls != nil,
            commonName: tls?.commonName ?? "")
    }

    /// Removes the pending request and stores its result.
    ///
    /// - Parameters:
    ///   - authorization: the granted authorization; `nil` if the request failed.
    ///   - now: the time on the monotonic clock, in nanoseconds.
    mutating func completeRequest(_ authorization: Authorization?, at now: Int64) {
        request = nil
        guard let authorization else { return }
        granted = authorization
        validUntil = now + authorization.timeToLive.nanoseconds
        lastAllowedTopic = nil
    }

    /// Returns `true` if the authorization has not expired at `now`, a time on the monotonic clock
    /// in nanoseconds.
    func isValid(at now: Int64) -> Bool { now < validUntil }

    /// Returns `true` if the authorization allows the client to publish to the topic (without
    /// `channel`), or to subscribe to the channel.
    mutating func allows(_ topic: TopicName, _ channel: ChannelName?) -> Bool {
        if channel == nil, lastAllowedTopic == topic { return true }
        guard granted?.allows(topic, channel) == true else { return false }
        if channel == nil { lastAllowedTopic = topic }
        return true
    }
}
