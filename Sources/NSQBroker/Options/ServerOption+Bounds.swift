import BrokerCore
import GoFlags
import TallyBasics

extension ServerOption {
    /// The checks of the ranges of all sizes, counts, ports and durations.
    static var bounds: [@Sendable (ServerOptions) throws(SetupError) -> Void] {
        ServerOptionBounds.all
    }
}

private enum ServerOptionBounds {
    /// The checks of all sizes, counts, ports and durations. nsqd does not check most of them: with a
    /// bad value, it starts and then refuses every message, or crashes. The upper bounds are greater
    /// than any useful value, and small enough that no sum or product of two values overflows.
    static let all: [@Sendable (ServerOptions) throws(SetupError) -> Void] =
        (sizes + counts + ports).map { check($0) } + durations.map { check($0.0, $0.1) }

    private struct Bound<Value: Comparable & Sendable>: Sendable {
        let flag: String
        let path: any KeyPath<ServerOptions, Value> & Sendable
        let range: ClosedRange<Value>
    }

    /// 2^50. The sum of two sizes and their product with a number of files or connections do not
    /// overflow.
    private static let largestSize = 1 << 50
    private static let largestCount = 1_000_000_000_000
    /// The protocol has signed 32-bit lengths.
    private static let largestBody = Int(Int32.max) / 2
    /// The largest payload of a UDP datagram.
    private static let largestDatagram = 65_507

    private static let sizes = [
        Bound(flag: "max-msg-size", path: \.core.maxMessageBytes, range: 1...largestBody),
        Bound(flag: "max-body-size", path: \.core.maxBodyBytes, range: 9...largestBody),
        Bound(
            flag: "max-output-buffer-size", path: \.core.maxOutputBufferBytes,
            range: 0...largestSize),
        Bound(
            flag: "max-bytes-per-file", path: \.disk.journal.maxBytesPerFile,
            range: 1 << 10...1 << 30),
        Bound(flag: "max-memory-bytes", path: \.core.maxMemoryBytes, range: 1...largestSize),
        Bound(flag: "max-disk-bytes", path: \.disk.journal.maxDiskBytes, range: 0...largestSize),
        Bound(
            flag: "statsd-udp-packet-size", path: \.statsd.packetBytes, range: 1...largestDatagram),
    ]

    private static let counts = [
        Bound(flag: "max-rdy-count", path: \.core.maxReadyCount, range: 1...largestCount),
        Bound(
            flag: "max-channel-consumers", path: \.core.maxChannelConsumers,
            range: 0...largestCount),
        Bound(flag: "mem-queue-size", path: \.core.memoryQueueSize, range: 0...largestCount),
        Bound(flag: "sync-every", path: \.disk.journal.syncEvery, range: 0...largestCount),
        Bound(flag: "max-connections", path: \.maxConnections, range: 0...largestCount),
        Bound(flag: "max-topics", path: \.core.maxTopics, range: 0...largestCount),
        Bound(flag: "max-channels", path: \.core.maxChannelsPerTopic, range: 0...largestCount),
    ]

    /// nsqlookupd receives 16-bit port numbers.
    private static let ports = [
        Bound(
            flag: "broadcast-tcp-port", path: \.addresses.broadcastTCPPort, range: 0...65_535),
        Bound(
            flag: "broadcast-http-port", path: \.addresses.broadcastHTTPPort, range: 0...65_535),
    ]

    /// The flags whose durations must be positive. ``ServerOptions/validated()`` shortens durations
    /// that exceed ``Limits/longestDuration``.
    private static let durations: [(String, any KeyPath<ServerOptions, Duration> & Sendable)] = [
        ("msg-timeout", \.core.messageTimeout), ("max-msg-timeout", \.core.maxMessageTimeout),
        ("max-req-timeout", \.core.maxRequeueTimeout),
        ("max-heartbeat-interval", \.core.maxHeartbeatInterval),
        ("max-output-buffer-timeout", \.core.maxOutputBufferTimeout),
        ("sync-timeout", \.disk.syncTimeout), ("statsd-interval", \.statsd.interval),
        ("e2e-processing-latency-window-time", \.latency.window),
        ("http-client-connect-timeout", \.httpClient.connectTimeout),
        ("http-client-request-timeout", \.httpClient.requestTimeout),
    ]

    private static func check(
        _ bound: Bound<Int>
    ) -> @Sendable (ServerOptions) throws(SetupError) -> Void {
        { options throws(SetupError) in
            let value = options[keyPath: bound.path]
            guard bound.range.contains(value) else {
                throw SetupError(
                    "--\(bound.flag) must be between \(bound.range.lowerBound) and "
                        + "\(bound.range.upperBound), not \(value)")
            }
        }
    }

    private static func check(
        _ flag: String, _ path: any KeyPath<ServerOptions, Duration> & Sendable
    ) -> @Sendable (ServerOptions) throws(SetupError) -> Void {
        { options throws(SetupError) in
            let duration = options[keyPath: path]
            guard duration > .zero else {
                throw SetupError(
                    "--\(flag) must be more than 0, not "
                        + GoText.duration(nanoseconds: duration.nanoseconds))
            }
        }
    }
}
