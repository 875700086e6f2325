import BrokerCore
import Logging
import NSQWire
import TallyBasics
import Transport

extension EmbeddedBroker {
    /// The settings of a broker. The defaults are nsqd's, except for the addresses.
    ///
    /// ``EmbeddedBroker/start(_:)`` checks them. The name of nsqd's flag is in parentheses.
    public struct Configuration: Sendable {
        // MARK: Addresses

        /// The address for clients (`--tcp-address`): `host:port`, or the path of a Unix-domain
        /// socket. The default is a free port of 127.0.0.1; port 0 selects a free port.
        public var tcpAddress = "127.0.0.1:0"
        /// The address of the HTTP API (`--http-address`), in the same format. The default, `nil`,
        /// disables the HTTP API.
        public var httpAddress: String?
        /// The address of the HTTP API over TLS (`--https-address`), in the same format. The default,
        /// `nil`, disables it. It requires ``tls``.
        public var httpsAddress: String?
        /// The host name that the broker announces to nsqlookupds (`--broadcast-address`). The
        /// default, `nil`, announces the name of this host.
        public var broadcastAddress: String?

        // MARK: Messages

        /// The time after which a message that a consumer has not finished is requeued
        /// (`--msg-timeout`). The default is 60 s.
        public var messageTimeout = Limits.messageTimeout
        /// The longest timeout that a consumer can request (`--max-msg-timeout`). TOUCH can extend a
        /// timeout to at most this time after the delivery. The default is 15 min.
        public var maxMessageTimeout = Limits.longestMessageTimeout
        /// The longest delay of a requeued or deferred message (`--max-req-timeout`). The default is
        /// 1 h.
        public var maxRequeueDelay = Limits.longestDeferral
        /// The maximum size of a message in bytes (`--max-msg-size`): 1 byte to 1 GiB. The default is
        /// 1 MiB.
        public var maxMessageBytes = Limits.messageBytes
        /// The maximum size in bytes of a batch of messages (`--max-body-size`): 9 bytes to 1 GiB. The
        /// default is 5 MiB.
        public var maxBodyBytes = Limits.bodyBytes

        // MARK: Memory and disk

        /// The maximum memory for messages, their state, and the input and output of clients, in
        /// bytes (`--max-memory-bytes`, which nsqd does not have). Above it, publishing fails with
        /// `E_PUB_FAILED`. The default is 2 GiB.
        public var maxMemoryBytes = 2 << 30
        /// The maximum number of messages in the queue of an ephemeral topic or channel, which
        /// discards further messages (`--mem-queue-size`). The default is 10,000.
        public var memoryQueueSize = 10_000
        /// The path of a folder for topics, channels and messages (`--data-path`), which then survive
        /// a restart of the broker. It is created if its parent exists. The default, `nil`, stores
        /// everything in memory only.
        public var dataPath: String?
        /// The event after which a publish is acknowledged if there is a ``dataPath``. The default
        /// is ``Acknowledgement/afterWrite``.
        public var acknowledgement = Acknowledgement.afterWrite
        /// The maximum size of the files in ``dataPath`` in bytes (`--max-disk-bytes`, which nsqd does
        /// not have). Above it, publishing fails. `nil`, the default, means no maximum.
        public var maxDiskBytes: Int?

        // MARK: Clients

        /// The maximum number of TCP connections, and also of HTTP connections (`--max-connections`,
        /// which nsqd does not have). The default, `nil`, derives both from the process's limit of
        /// file descriptors.
        public var maxConnections: Int?
        /// The maximum number of messages in flight to a connection (`--max-rdy-count`). The default
        /// is 2,500.
        public var maxReadyCount = Limits.readyCount
        /// The maximum number of consumers of a channel (`--max-channel-consumers`). `nil`, the
        /// default, means no maximum.
        public var maxChannelConsumers: Int?
        /// The maximum number of topics (`--max-topics`, which nsqd does not have). `nil`, the
        /// default, means no maximum.
        public var maxTopics: Int?
        /// The maximum number of channels of a topic (`--max-channels`, which nsqd does not have).
        /// `nil`, the default, means no maximum.
        public var maxChannelsPerTopic: Int?
        /// The longest heartbeat interval that a client can request (`--max-heartbeat-interval`). The
        /// default is 60 s.
        public var maxHeartbeatInterval = Limits.longestHeartbeatInterval
        /// `true` if clients can request deflate (`--deflate`), as they can by default.
        public var allowsDeflate = true
        /// `true` if clients can request snappy (`--snappy`), as they can by default.
        public var allowsSnappy = true

        // MARK: Security and other servers

        /// The certificate of the broker. The default, `nil`, disables TLS.
        public var tls: TLS?
        /// The authorization servers that decide which clients may publish and consume
        /// (`--auth-http-address`), each as `host:port` or a URL. The default, none, permits
        /// everything.
        public var authorizationServers: [String] = []
        /// The nsqlookupds at which the broker registers (`--lookupd-tcp-address`), each as
        /// `host:port`. The default is none. A list that is not empty requires ``httpAddress``,
        /// because nsqlookupd refuses a broker without an HTTP port.
        public var lookupds: [String] = []

        /// The logger of the broker. The default has the label `nsqd`.
        public var logger = Logger(label: "nsqd")

        /// Creates a configuration with the defaults.
        public init() {}
    }
}

extension EmbeddedBroker.Configuration {
    /// The event after which the broker acknowledges a publish, if it has a ``dataPath``.
    public struct Acknowledgement: Hashable, Sendable {
        let policy: SyncPolicy

        /// The messages are written to the file system. They survive a crash of the process.
        public static let afterWrite = Self(policy: .write)
        /// The messages are synced to the disk. They survive a power failure. Publishes that arrive
        /// during a sync share the next sync.
        public static let afterSync = Self(policy: .always)
    }

    /// The TLS settings of a broker. All files are in PEM format. The broker reads them when it
    /// starts.
    public struct TLS: Sendable, Equatable {
        /// A policy for the certificates of clients.
        public enum ClientCertificates: String, Sendable {
            /// The broker requests none.
            case none = ""
            /// Clients must have a certificate, which is not verified.
            case require
            /// Clients must have a certificate that a CA of ``TLS/authorityFile`` has signed.
            case requireVerified = "require-verify"
        }

        /// The listeners at which clients must use TLS.
        public enum Requirement: Sendable {
            /// Clients choose.
            case none
            /// Clients of the TCP protocol must use TLS. Clients of the HTTP API may choose.
            case exceptHTTP
            /// All clients must use TLS.
            case everywhere
        }

        /// A version of TLS.
        public enum Version: String, Sendable, CaseIterable {
            /// TLS 1.0 and 1.1, which are not secure.
            case tls10 = "tls1.0", tls11 = "tls1.1"
            /// TLS 1.2 and 1.3.
            case tls12 = "tls1.2", tls13 = "tls1.3"
        }

        /// The path of the broker's certificate and its chain (`--tls-cert`).
        public var certificateFile: String
        /// The path of the private key (`--tls-key`), which must not have a passphrase.
        public var keyFile: String
        /// The path of the CAs that sign client certificates and the certificates of authorization
        /// servers (`--tls-root-ca-file`); `nil` (the default) for the system's CAs.
        public var authorityFile: String?
        /// The policy for client certificates (`--tls-client-auth-policy`); none by default. Any
        /// other policy requires TLS everywhere.
        public var clientCertificates = ClientCertificates.none
        /// The listeners that require TLS (`--tls-required`); none by default.
        public var requirement = Requirement.none
        /// The oldest version that the broker accepts (`--tls-min-version`); TLS 1.2 by default,
        /// although nsqd accepts TLS 1.0.
        public var minVersion = Version.tls12

        /// Creates settings with a certificate.
        public init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }

        var options: TLSOptions {
            var options = TLSOptions()
            options.certificateFile = certificateFile
            options.keyFile = keyFile
            options.rootCAFile = authorityFile ?? ""
            options.clientAuthPolicy = clientCertificates.rawValue
            options.minVersion = TLSVersion(rawValue: minVersion.rawValue)!
            options.requirement =
                switch requirement {
                case .none: .nowhere
                case .exceptHTTP: .exceptHTTP
                case .everywhere: .everywhere
                }
            return options
        }
    }
}

// MARK: - Options of the server

extension EmbeddedBroker.Configuration {
    /// Checks the configuration, and converts it to options.
    ///
    /// - Throws: ``EmbeddedBroker/StartError`` with the code
    ///   ``EmbeddedBroker/StartError/Code/invalidConfiguration``.
    func options() throws(EmbeddedBroker.StartError) -> ServerOptions {
        guard httpsAddress == nil || tls != nil else {
            throw .invalidConfiguration("httpsAddress requires tls")
        }
        guard lookupds.isEmpty || httpAddress != nil else {
            throw .invalidConfiguration(
                "lookupds requires httpAddress (nsqlookupd refuses a broker without an HTTP port)")
        }
        for (name, limit) in [
            ("maxConnections", maxConnections), ("maxChannelConsumers", maxChannelConsumers),
            ("maxTopics", maxTopics), ("maxChannelsPerTopic", maxChannelsPerTopic),
            ("maxDiskBytes", maxDiskBytes),
        ] {
            // nsqd's flags have 0 for no maximum, which a configuration expresses by nil.
            if let limit, limit < 1 {
                throw .invalidConfiguration("\(name) is \(limit), but must be at least 1")
            }
        }
        do throws(SetupError) {
            return try unchecked.validated()
        } catch {
            throw .invalidConfiguration(Self.replacingFlags(in: error.description))
        }
    }

    private var unchecked: ServerOptions {
        var options = ServerOptions()
        options.addresses.tcp = tcpAddress
        options.addresses.http = httpAddress ?? ""
        options.addresses.https = httpsAddress ?? ""
        if let broadcastAddress { options.addresses.broadcast = broadcastAddress }
        options.core.messageTimeout = messageTimeout
        options.core.maxMessageTimeout = maxMessageTimeout
        options.core.maxRequeueTimeout = maxRequeueDelay
        options.core.maxMessageBytes = maxMessageBytes
        options.core.maxBodyBytes = maxBodyBytes
        options.core.maxMemoryBytes = maxMemoryBytes
        options.core.memoryQueueSize = memoryQueueSize
        options.core.maxReadyCount = maxReadyCount
        options.core.maxChannelConsumers = maxChannelConsumers ?? 0
        options.core.maxTopics = maxTopics ?? 0
        options.core.maxChannelsPerTopic = maxChannelsPerTopic ?? 0
        options.core.maxHeartbeatInterval = maxHeartbeatInterval
        options.core.deflateEnabled = allowsDeflate
        options.core.snappyEnabled = allowsSnappy
        options.maxConnections = maxConnections ?? 0
        options.disk.dataPath = dataPath ?? ""
        options.disk.sync = acknowledgement.policy
        options.disk.journal.maxDiskBytes = maxDiskBytes ?? 0
        options.auth.httpAddresses = authorizationServers
        options.lookup.tcpAddresses = lookupds
        if let tls { options.tls = tls.options }
        return options
    }

    /// Replaces the names of nsqd's flags in an error message with the names of the properties.
    private static func replacingFlags(in message: String) -> String {
        let names = [
            "--msg-timeout": "messageTimeout", "--max-msg-timeout": "maxMessageTimeout",
            "--max-req-timeout": "maxRequeueDelay", "--max-msg-size": "maxMessageBytes",
            "--max-body-size": "maxBodyBytes", "--max-memory-bytes": "maxMemoryBytes",
            "--mem-queue-size": "memoryQueueSize", "--max-rdy-count": "maxReadyCount",
            "--max-channel-consumers": "maxChannelConsumers", "--max-topics": "maxTopics",
            "--max-channels": "maxChannelsPerTopic", "--max-connections": "maxConnections",
            "--max-heartbeat-interval": "maxHeartbeatInterval", "--max-disk-bytes": "maxDiskBytes",
            "--tls-cert": "tls.certificateFile", "--tls-key": "tls.keyFile",
        ]
        return message.split(separator: " ", omittingEmptySubsequences: false)
            .map { names[String($0)] ?? String($0) }.joined(separator: " ")
    }
}
