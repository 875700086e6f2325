import NSQWire

/// What a broker's flags decide. The names and defaults are nsqd's, except for the last group.
package struct BrokerOptions: Sendable {
    /// What clients are told: the version whose behaviour this is.
    package var version = "1.3.0"

    package var maxMessageBytes = Limits.messageBytes
    package var maxBodyBytes = Limits.bodyBytes
    package var maxReadyCount = Limits.readyCount
    package var messageTimeout = Limits.messageTimeout
    package var maxMessageTimeout = Limits.longestMessageTimeout
    package var maxRequeueTimeout = Limits.longestDeferral
    package var heartbeatInterval = Limits.heartbeatInterval
    package var maxHeartbeatInterval = Limits.longestHeartbeatInterval
    package var maxOutputBufferBytes = Limits.largestOutputBufferBytes
    package var outputBufferTimeout = Limits.outputBufferTimeout
    package var minOutputBufferTimeout = Limits.shortestOutputBufferTimeout
    package var maxOutputBufferTimeout = Limits.longestOutputBufferTimeout
    package var deflateEnabled = true
    package var maxDeflateLevel = Limits.deflateLevel
    package var snappyEnabled = true
    /// There is a certificate to identify with.
    package var tlsAvailable = false
    /// Without TLS nothing but IDENTIFY is allowed.
    package var tlsRequired = false
    /// Clients may publish and subscribe only as far as an authorization server says.
    package var authRequired = false
    /// The percentiles to keep of how long messages take to their FIN, as parts of 1, highest first.
    /// With none, nothing is kept.
    package var latencyPercentiles: [Double] = []
    /// What they are of: so long back from now.
    package var latencyWindow = Duration.seconds(600)
    /// Consumers a channel may have; 0 is no limit.
    package var maxChannelConsumers = 0
    /// Messages an ephemeral channel or topic holds before it drops further ones.
    package var memoryQueueSize = 10_000

    /// The memory that all queued messages may take, in bytes; publishers are refused beyond it.
    package var maxMemoryBytes = 2 << 30
    /// What of it stays with the broker for the next burst, in bytes, when it is not in use.
    package var maxSpareBytes = Int.max
    /// Topics there may be, and channels a topic may have; 0 is no limit.
    package var maxTopics = 0
    package var maxChannelsPerTopic = 0
    /// Unsent bytes beyond which a connection gets no further messages, nor is read from.
    package var maxUnsentBytes = 1 << 20
    /// Where the randomness of sampling starts.
    package var seed: UInt64 = 0

    package init() {}

    /// The most messages that fit into one MPUB body: each takes its length and at least a byte.
    package var maxMessagesPerBody: Int { (maxBodyBytes - 4) / 5 }
}
