/// Options of the discovery of nsqds by nsqlookupd. The names and defaults are those of go-nsq.
public struct LookupOptions: Sendable {
    /// The interval between polls of all nsqlookupds: 10 ms to 5 min, 60 s by default. While no nsqd
    /// is known, the consumer polls more often.
    public var pollInterval = Duration.seconds(60)

    /// The maximum part of the interval by which a poll is delayed at random, so that many consumers
    /// do not poll at the same time: 0 to 1, 0.3 by default.
    public var jitter = 0.3

    /// The maximum time for the connection to an nsqlookupd, and for its response: 100 ms to 5 min,
    /// 60 s by default.
    public var timeout = Duration.seconds(60)

    /// Creates options with the default values.
    public init() {}

    /// The same options with each value limited to its range.
    var limited: LookupOptions {
        var options = self
        options.pollInterval = min(max(pollInterval, .milliseconds(10)), .seconds(300))
        options.jitter = jitter.isNaN ? 0 : min(max(jitter, 0), 1)
        options.timeout = min(max(timeout, .milliseconds(100)), .seconds(300))
        return options
    }
}
