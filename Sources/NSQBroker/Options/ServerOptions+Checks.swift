import BrokerCore
import NSQWire
import Transport

/// The reason why options are invalid in combination, although each is well-formed. As in nsqd, the
/// process exits with 1 in this case, and with 2 for a malformed value.
package struct SetupError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension ServerOptions {
    /// Checks the options, and returns them with the values that depend on other options.
    ///
    /// - Throws: `SetupError` for the first failed check, in the order and with the message of
    ///   nsqd.
    package func validated() throws(SetupError) -> ServerOptions {
        guard (1...9).contains(core.maxDeflateLevel) else {
            throw SetupError("--max-deflate-level must be [1,9]")
        }
        guard (0..<1024).contains(nodeID) else { throw SetupError("--node-id must be [0,1024)") }
        var options = self
        // A client certificate policy requires TLS.
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
        guard !disk.isMemoryOnly || disk.dataPath.isEmpty else {
            throw SetupError("--memory-only and --data-path cannot be combined")
        }
        for check in ServerOption.bounds { try check(self) }
        options.limitDurations()
        return options
    }

    /// Limits the durations that are added to times to ``Limits/longestDuration``, so that no sum
    /// overflows. nsqd accepts up to 292 years.
    private mutating func limitDurations() {
        let paths: [WritableKeyPath<ServerOptions, Duration>] = [
            \.core.messageTimeout, \.core.maxMessageTimeout, \.core.maxRequeueTimeout,
            \.core.maxHeartbeatInterval, \.core.outputBufferTimeout, \.core.minOutputBufferTimeout,
            \.core.maxOutputBufferTimeout, \.core.latencyWindow, \.disk.syncTimeout,
            \.statsd.interval, \.latency.window, \.httpClient.connectTimeout,
            \.httpClient.requestTimeout,
        ]
        for path in paths {
            self[keyPath: path] = min(self[keyPath: path], Limits.longestDuration)
        }
    }
}

extension TLSOptions {
    /// The options of the server side; `nil` without a certificate.
    package var server: TLSServerOptions? {
        guard !certificateFile.isEmpty, !keyFile.isEmpty else { return nil }
        var options = TLSServerOptions(certificateFile: certificateFile, keyFile: keyFile)
        options.rootCAFile = rootCAFile.isEmpty ? nil : rootCAFile
        options.clientAuth = .init(rawValue: clientAuthPolicy) ?? .none
        options.minVersion = minVersion
        return options
    }

    /// `true` if clients need a certificate.
    package var requiresClientCertificate: Bool { (server?.clientAuth ?? .none) != .none }

    /// The options of the broker's own requests. As in nsqd, the authorities of `--tls-root-ca-file`
    /// replace the system's authorities for these requests.
    var client: TLSClientOptions {
        var options = TLSClientOptions()
        if !rootCAFile.isEmpty { options.trust = .authorities(file: rootCAFile) }
        options.minVersion = minVersion
        return options
    }
}
