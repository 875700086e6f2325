import NSQWire

/// The broker's options. All except the last group have nsqd's names and defaults.
package struct BrokerOptions: Sendable {
    /// The version that IDENTIFY reports to clients: the version of nsqd whose behaviour this broker
    /// implements.
    package var version = "1.3.0"

    /// The maximum size of one message body, in bytes.
    package var maxMessageBytes = Limits.messageBytes
    /// The maximum size of the body of MPUB, IDENTIFY and AUTH, in bytes.
    package var maxBodyBytes = Limits.bodyBytes
    /// The maximum count of an RDY command.
    package var maxReadyCount = Limits.readyCount
    /// The timeout of messages in flight, unless IDENTIFY requests another timeout.
    package var messageTimeout = Limits.messageTimeout
    /// The longest message timeout that IDENTIFY can request. TOUCH can extend the timeout of a
    /// message to at most this time after the delivery.
    package var maxMessageTimeout = Limits.longestMessageTimeout
    /// The longest delay that REQ and DPUB can request.
    package var maxRequeueTimeout = Limits.longestDeferral
    /// The heartbeat interval, unless IDENTIFY requests another interval.
    package var heartbeatInterval = Limits.heartbeatInterval
    /// The longest heartbeat interval that IDENTIFY can request.
    package var maxHeartbeatInterval = Limits.longestHeartbeatInterval
    /// The largest output buffer that IDENTIFY can request, in bytes.
    package var maxOutputBufferBytes = Limits.largestOutputBufferBytes
    /// The output buffer timeout, unless IDENTIFY requests another timeout.
    package var outputBufferTimeout = Limits.outputBufferTimeout
    /// The shortest output buffer timeout that IDENTIFY can request.
    package var minOutputBufferTimeout = Limits.shortestOutputBufferTimeout
    /// The longest output buffer timeout that IDENTIFY can request.
    package var maxOutputBufferTimeout = Limits.longestOutputBufferTimeout
    /// `true` if clients can negotiate deflate.
    package var deflateEnabled = true
    /// The highest deflate level that IDENTIFY can request.
    package var maxDeflateLevel = Limits.deflateLevel
    /// `true` if clients can negotiate snappy.
    package var snappyEnabled = true
    /// `true` if the server has a certificate.
    package var tlsAvailable = false
    /// `true` if IDENTIFY is the only command that clients may send without TLS.
    package var tlsRequired = false
    /// `true` if clients need the permission of an authorization server to publish and subscribe.
    package var authRequired = false
    /// The quantiles of the message latency that statistics contain, each from 0 to 1, highest
    /// first. The latency is the time between publish and FIN; it is not measured if this array is
    /// empty.
    package var latencyPercentiles: [Double] = []
    /// The length of the sliding window in which message latencies are counted.
    package var latencyWindow = Duration.seconds(600)
    /// The maximum number of consumers of a channel; 0 for no limit.
    package var maxChannelConsumers = 0
    /// The maximum number of messages in the queue of an ephemeral topic or channel, which discards
    /// further messages. A durable topic keeps about this number of messages in memory.
    package var memoryQueueSize = 10_000

    /// The maximum memory of messages, of their state in channels, and of the input and output of
    /// clients, in bytes. Publishes beyond this limit are refused.
    package var maxMemoryBytes = 2 << 30
    /// The maximum size of unused memory that is kept for reuse, in bytes.
    package var maxSpareBytes = Int.max
    /// The times after which undelivered messages expire.
    package var lifetimes = MessageLifetimes()
    /// `true` moves expired messages to the failed set of their channel; otherwise they are lost.
    package var keepsExpired = false
    /// The numbers of deliveries after which messages are moved to the failed set of their channel.
    package var attemptLimits = AttemptLimits()
    /// The maximum number of topics; 0 for no limit.
    package var maxTopics = 0
    /// The maximum number of channels of a topic; 0 for no limit.
    package var maxChannelsPerTopic = 0
    /// The number of unsent bytes at which the broker stops delivering messages to the connection
    /// and reading from the connection.
    package var maxUnsentBytes = 1 << 20
    /// The maximum number of steps in one loop iteration, for each kind of work: commands,
    /// dispatches, deliveries and timers. A step is about the work of one FIN. Further work is
    /// postponed to the next iterations.
    package var stepsPerIteration = 50_000
    /// The seed of the random number generator that samples messages.
    package var seed: UInt64 = 0

    /// Creates options with nsqd's defaults.
    package init() {}

    /// The maximum number of messages in an MPUB body: a message takes at least five bytes, four
    /// for its size and one for its body.
    package var maxMessagesPerBody: Int { (maxBodyBytes - 4) / 5 }
}
