import GoFlags
import NSQClient
import TallyBasics
import TallyJSON

/// The options of a client under the names that go-nsq gives them. The flags `--consumer-opt` and
/// `--producer-opt` set them in the form `name,value`.
package struct GoNSQOptions: Sendable {
    /// Options of the connections, except TLS.
    package var client = ClientOptions()
    /// Options of the discovery through nsqlookupd.
    package var lookup = LookupOptions()
    /// When and how often a failed message is delivered again.
    package var retry = RetryPolicy()
    /// `true` if an option limits the number of deliveries of a message.
    package private(set) var limitsAttempts = false
    private var tls = TLS()
    private var maxInFlight: Int?
    private var messageTimeout: Duration?
    private var outputBufferTimeout: Duration?
    private var outputBufferBytes: Int?
    private var samplePercent: Int?
    private var backoffMultiplier: Duration?
    private var maxBackoff: Duration?

    /// Creates settings with the defaults of the client library.
    package init() {}

    private struct TLS: Sendable {
        var isEnabled = false
        var skipsVerification = false
        var rootCAFile: String?
        var certificateFile: String?
        var keyFile: String?
        var minVersion = ClientTLS.Version.tls12
    }

    /// Returns the options of a consumer.
    ///
    /// - Parameter maxInFlight: the maximum number of messages in flight if the option
    ///   `max_in_flight` is not set.
    /// - Throws: `NSQError` if a file of the TLS settings cannot be used.
    package func consumerOptions(maxInFlight: Int) throws(NSQError) -> Consumer.Options {
        var options = Consumer.Options()
        options.client = try clientOptions()
        options.lookup = lookup
        options.maxInFlight = self.maxInFlight ?? maxInFlight
        options.messageTimeout = messageTimeout
        options.outputBufferTimeout = outputBufferTimeout
        options.outputBufferBytes = outputBufferBytes
        options.samplePercent = samplePercent
        if let backoffMultiplier { options.backoffMultiplier = backoffMultiplier }
        if let maxBackoff { options.maxBackoff = maxBackoff }
        return options
    }

    /// Returns the options of a producer.
    ///
    /// - Throws: `NSQError` if a file of the TLS settings cannot be used.
    package func producerOptions() throws(NSQError) -> Producer.Options {
        var options = Producer.Options()
        options.client = try clientOptions()
        return options
    }

    private func clientOptions() throws(NSQError) -> ClientOptions {
        guard tls.isEnabled else { return client }
        var options = client
        let trust: ClientTLS.Trust =
            if tls.skipsVerification {
                .insecureWithoutVerification
            } else {
                tls.rootCAFile.map { .authorities(file: $0) } ?? .system
            }
        options.tls = try ClientTLS(
            trust: trust, certificateFile: tls.certificateFile, keyFile: tls.keyFile,
            minVersion: tls.minVersion)
        return options
    }
}

extension GoNSQOptions: OptionValue {
    package static var isList: Bool { true }
    package static var noun: String { "an option of go-nsq" }
    package var helpText: String? { nil }
    package var configResponse: ConfigResponse { .text("") }

    /// Applies one option: `name,value`, or `name` for a Boolean.
    package mutating func parse(_ text: String) throws(BadValue) {
        let parts = text.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        let value = parts.count > 1 ? String(parts[1]) : "true"
        guard let setting = Self.settings[name] else {
            let nearest = Suggestion.nearest(to: name, in: Array(Self.settings.keys))
            throw BadValue(
                "invalid option \(name)", remedy: nearest.map { "did you mean \($0)?" })
        }
        try setting(&self, value)
    }

    private typealias Setting = @Sendable (inout GoNSQOptions, String) throws(BadValue) -> Void

    private static let settings: [String: Setting] = [
        "dial_timeout": duration { $0.client.connectTimeout = $1 },
        "heartbeat_interval": duration { $0.client.heartbeatInterval = $1 },
        "lookupd_poll_interval": duration { $0.lookup.pollInterval = $1 },
        "lookupd_poll_timeout": duration { $0.lookup.timeout = $1 },
        "max_requeue_delay": duration { $0.retry.maxDelay = $1 },
        "default_requeue_delay": duration { $0.retry.firstDelay = $1 },
        "max_backoff_duration": duration { $0.maxBackoff = $1 },
        "backoff_multiplier": duration { $0.backoffMultiplier = $1 },
        "output_buffer_timeout": duration { $0.outputBufferTimeout = $1 },
        "msg_timeout": duration { $0.messageTimeout = $1 },
        "max_attempts": integer {
            $0.retry.maxAttempts = $1
            $0.limitsAttempts = $1 > 0
        },
        "sample_rate": integer { $0.samplePercent = $1 == 0 ? nil : $1 },
        "output_buffer_size": integer { $0.outputBufferBytes = $1 },
        "max_in_flight": integer { $0.maxInFlight = $1 },
        "deflate_level": integer {
            if case .deflate = $0.client.compression { $0.client.compression = .deflate(level: $1) }
        },
        "client_id": { settings, text in settings.client.clientID = text },
        "hostname": { settings, text in settings.client.hostname = text },
        "user_agent": { settings, text in settings.client.userAgent = text },
        "auth_secret": { settings, text in settings.client.authSecret = text },
        "tls_root_ca_file": { settings, text in settings.tls.rootCAFile = text },
        "tls_cert": { settings, text in settings.tls.certificateFile = text },
        "tls_key": { settings, text in settings.tls.keyFile = text },
        "tls_v1": boolean { $0.tls.isEnabled = $1 },
        "tls_insecure_skip_verify": boolean { $0.tls.skipsVerification = $1 },
        "snappy": boolean { if $1 { $0.client.compression = .snappy } },
        "deflate": boolean { if $1 { $0.client.compression = .deflate() } },
        "lookupd_poll_jitter": { settings, text throws(BadValue) in
            guard let number = Double(text) else { throw .malformed }
            settings.lookup.jitter = number
        },
        "tls_min_version": { settings, text throws(BadValue) in
            // SSL 3.0 is not supported, so the lowest supported version is used instead.
            let name = text == "ssl3.0" ? "tls1.0" : text
            guard let version = ClientTLS.Version(rawValue: name) else { throw .malformed }
            settings.tls.minVersion = version
        },
        // The client library has no such options. They are accepted and ignored.
        "read_timeout": ignored, "write_timeout": ignored, "local_addr": ignored,
        "low_rdy_idle_timeout": ignored, "low_rdy_timeout": ignored,
        "rdy_redistribute_interval": ignored, "backoff_strategy": ignored,
        "skip_lookupd_authorization": ignored,
    ]

    private static let ignored: Setting = { _, _ in }

    /// Makes a setting for a duration. A number without a unit is in milliseconds, as in go-nsq.
    private static func duration(
        _ set: @escaping @Sendable (inout GoNSQOptions, Duration) -> Void
    ) -> Setting {
        { settings, text throws(BadValue) in
            if let milliseconds = Int32(text) {
                set(&settings, .milliseconds(Int(milliseconds)))
            } else if let duration = Duration(goText: text) {
                set(&settings, duration)
            } else {
                throw .malformed
            }
        }
    }

    private static func integer(
        _ set: @escaping @Sendable (inout GoNSQOptions, Int) -> Void
    ) -> Setting {
        { settings, text throws(BadValue) in set(&settings, try GoText.integer(text)) }
    }

    private static func boolean(
        _ set: @escaping @Sendable (inout GoNSQOptions, Bool) -> Void
    ) -> Setting {
        { settings, text throws(BadValue) in
            guard let value = GoText.bool(text) else { throw .malformed }
            set(&settings, value)
        }
    }
}
