import BrokerCore
import Transport

/// Options that are well-formed, each by itself, and cannot be followed: nsqd ends with 1 for those,
/// not with 2.
package struct SetupError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension ServerOptions {
    /// The options with what follows from others.
    ///
    /// - Throws: `SetupError` with the first thing that cannot be, in nsqd's order and words.
    package func settled() throws(SetupError) -> ServerOptions {
        guard (1...9).contains(core.maxDeflateLevel) else {
            throw SetupError("--max-deflate-level must be [1,9]")
        }
        guard (0..<1024).contains(nodeID) else { throw SetupError("--node-id must be [0,1024)") }
        var options = self
        // A policy for certificates would be none if clients could do without TLS.
        if tls.requirement == .nowhere, !tls.clientAuthPolicy.isEmpty {
            options.tls.requirement = .everywhere
        }
        options.core.tlsRequired = options.tls.requirement != .nowhere
        options.core.authRequired = !auth.httpAddresses.isEmpty
        options.core.latencyPercentiles = latency.percentiles
        options.core.latencyWindow = latency.window
        guard tls.server != nil || !options.core.tlsRequired else {
            throw SetupError(
                "cannot require TLS client connections without TLS key and cert: give --tls-cert "
                    + "and --tls-key")
        }
        guard tls.certificateFile.isEmpty == tls.keyFile.isEmpty else {
            throw SetupError("TLS needs both --tls-cert and --tls-key")
        }
        for percentile in latency.percentiles where !(percentile > 0 && percentile <= 1) {
            throw SetupError("invalid E2E processing latency percentile: \(percentile)")
        }
        guard ["get", "post"].contains(auth.requestMethod) else {
            throw SetupError("--auth-http-request-method must be post or get")
        }
        try checkSizes()
        try checkDurations()
        return options
    }

    /// Beyond nsqd, which would start and then refuse every message, or worse.
    private func checkSizes() throws(SetupError) {
        // Lengths travel as signed 32-bit numbers.
        let mostBytes = Int(Int32.max) / 2
        let bounds: [(String, Int, ClosedRange<Int>)] = [
            ("max-msg-size", core.maxMessageBytes, 1...mostBytes),
            ("max-body-size", core.maxBodyBytes, 9...mostBytes),
            ("max-rdy-count", core.maxReadyCount, 1...Int.max),
            ("max-channel-consumers", core.maxChannelConsumers, 0...Int.max),
            ("mem-queue-size", core.memoryQueueSize, 0...Int.max),
            ("max-bytes-per-file", disk.journal.maxBytesPerFile, 1 << 10...1 << 30),
            ("sync-every", disk.journal.syncEvery, 1...Int.max),
            ("max-memory-bytes", core.maxMemoryBytes, 1...Int.max),
            ("max-disk-bytes", disk.journal.maxDiskBytes, 0...Int.max),
            ("max-connections", maxConnections, 0...Int.max),
            ("max-topics", core.maxTopics, 0...Int.max),
            ("max-channels", core.maxChannelsPerTopic, 0...Int.max),
        ]
        for (flag, value, range) in bounds where !range.contains(value) {
            let isTooLow = value < range.lowerBound
            let bound = isTooLow ? range.lowerBound : range.upperBound
            throw SetupError("--\(flag) must be at \(isTooLow ? "least" : "most") \(bound)")
        }
    }

    private func checkDurations() throws(SetupError) {
        let durations = [
            ("msg-timeout", core.messageTimeout), ("max-msg-timeout", core.maxMessageTimeout),
            ("max-req-timeout", core.maxRequeueTimeout),
            ("max-heartbeat-interval", core.maxHeartbeatInterval),
            ("max-output-buffer-timeout", core.maxOutputBufferTimeout),
            ("sync-timeout", disk.syncTimeout), ("statsd-interval", statsd.interval),
            ("e2e-processing-latency-window-time", latency.window),
            ("http-client-connect-timeout", httpClient.connectTimeout),
            ("http-client-request-timeout", httpClient.requestTimeout),
        ]
        for (flag, duration) in durations where duration <= .zero {
            throw SetupError("--\(flag) must be more than 0")
        }
    }
}

extension TLSOptions {
    /// What TLS is offered with; `nil` without a certificate.
    package var server: TLSServerOptions? {
        guard !certificateFile.isEmpty, !keyFile.isEmpty else { return nil }
        var options = TLSServerOptions(certificateFile: certificateFile, keyFile: keyFile)
        options.rootCAFile = rootCAFile.isEmpty ? nil : rootCAFile
        options.clientAuth = .init(rawValue: clientAuthPolicy) ?? .none
        options.minVersion = minVersion
        return options
    }

    /// What the broker asks others by TLS with. As in nsqd, whom clients' certificates must come
    /// from is whom we trust, too.
    var client: TLSClientOptions {
        var options = TLSClientOptions()
        if !rootCAFile.isEmpty { options.trust = .authorities(file: rootCAFile) }
        options.minVersion = minVersion
        return options
    }
}
