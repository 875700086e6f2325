import BrokerCore
import Transport
import UVLoop

/// The options of a broker and its services. The defaults are nsqd's, and `ServerOption.all` maps
/// flags to these properties.
package struct ServerOptions: Sendable {
    /// The options of the protocol, and the limits of queued data.
    package var core = BrokerOptions()
    package var log = LogOptions()
    package var addresses = AddressOptions()
    package var tls = TLSOptions()
    package var lookup = RegistrationOptions()
    package var auth = AuthOptions()
    package var httpClient = HTTPClientOptions()
    package var disk = DiskOptions()
    package var statsd = StatsdOptions()
    package var latency = LatencyOptions()
    package var scan = ScanOptions()
    package var topology = TopologyOptions()

    /// The node ID, which appears in the log and under `/config/id`. Message IDs are unique without
    /// it.
    package var nodeID = System.nodeID
    /// The maximum number of TCP connections, and also of HTTP connections. 0 derives both from the
    /// limit of file descriptors.
    package var maxConnections = 0
    /// The time that the loop polls without blocking before it blocks in `epoll_wait`. The default
    /// is about twice the round-trip time of a single message on one host.
    package var busyPoll = Duration.microseconds(50)

    /// Options that are used only when the process starts.
    package var process = ProcessOptions()

    /// Creates options with the defaults.
    package init() {}
}

/// Options that are used only when the process starts.
package struct ProcessOptions: Sendable {
    package var configFile = ""
    package var showsVersion = false
    /// Two flags that nsqd accepts and ignores.
    package var verbose = false
    package var workerID = false
}

/// Options of the log.
package struct LogOptions: Sendable {
    package var level = LogLevel.info
    package var format = LogFormat.text
    /// The text at the beginning of each line.
    package var prefix: String

    /// Creates options with the level `info`.
    package init(prefix: String = "[nsqd] ") { self.prefix = prefix }
}

/// The addresses that the broker listens on, as `host:port` or the path of a Unix-domain socket,
/// and the addresses that it announces to clients and nsqlookupd.
package struct AddressOptions: Sendable {
    package var tcp = "0.0.0.0:4150"
    /// The address for HTTP; an empty text disables it. The same applies to HTTPS.
    package var http = "0.0.0.0:4151"
    package var https = "0.0.0.0:4152"

    /// Listening sockets of a service manager, which are used instead of the addresses.
    package var inherited: [EmbeddedBroker.StartError.Service: InheritedSocket] = [:]

    /// Addresses whose HTTP or HTTPS listener is optional: if such an address is in use, the broker
    /// runs without this listener.
    package var optional: Set<String> = []

    /// Names that the HTTP API accepts as `Host` on a loopback address, besides loopback names and
    /// ``broadcast``.
    package var httpHosts: [String] = []

    package var broadcast = System.hostname
    /// The announced port; 0 announces the port that the listener is bound to.
    package var broadcastTCPPort = 0
    package var broadcastHTTPPort = 0
}

/// The options of TLS. Files are in PEM format, and an empty name means that there is no such file.
package struct TLSOptions: Sendable {
    package var certificateFile = ""
    package var keyFile = ""
    package var rootCAFile = ""
    /// `require` and `require-verify` require client certificates. As in nsqd, any other text only
    /// requires TLS.
    package var clientAuthPolicy = ""
    package var requirement = TLSRequirement.nowhere
    package var minVersion = TLSVersion.tls10
}

/// The listeners that require TLS.
package enum TLSRequirement: Int, Sendable {
    case nowhere
    /// The TCP protocol requires TLS, but plain HTTP is available.
    case exceptHTTP
    case everywhere
}

/// Options of the registration with nsqlookupd.
package struct RegistrationOptions: Sendable, Equatable {
    /// The nsqlookupds, as `host:port`. They can change at run time.
    package var tcpAddresses: [String] = []
    /// The maximum duration of a connection attempt and of each response. nsqd has no flag for it.
    package var timeout = Duration.seconds(1)
}

/// Options of authorization.
package struct AuthOptions: Sendable {
    /// The authorization servers, as `host:port` or URLs. If there are none, clients need no
    /// authorization.
    package var httpAddresses: [String] = []
    package var requestMethod = "get"
}

/// Options of the broker's own HTTP requests.
package struct HTTPClientOptions: Sendable {
    package var connectTimeout = Duration.seconds(2)
    package var requestTimeout = Duration.seconds(5)
}

/// Options of durability.
package struct DiskOptions: Sendable {
    /// The folder for messages, which is created if its parent exists. If the text is empty,
    /// ``defaultDataPath`` is used.
    package var dataPath = ""
    /// The folder that an empty ``dataPath`` selects: the current folder for `tally nsqd`. `nil`
    /// stores messages in memory only.
    package var defaultDataPath: String?
    /// `true` stores messages in memory only, and ignores ``defaultDataPath``.
    package var isMemoryOnly = false
    package var journal = Journal.Options()
    package var syncTimeout = Duration.seconds(2)

    package var sync: SyncPolicy {
        get { journal.respondsAfterSync ? .always : .write }
        set { journal.respondsAfterSync = newValue == .always }
    }

    /// The folder of the messages; `nil` if they are stored in memory only.
    package var folder: String? {
        guard !isMemoryOnly else { return nil }
        return dataPath.isEmpty ? defaultDataPath : dataPath
    }

    /// The place of the messages, for the log.
    var storageDescription: String {
        folder.map { "messages are stored in \($0)" }
            ?? "messages are stored in memory only, and a restart loses them"
    }

    var dataPathOptions: DataPathOptions? {
        guard let folder else { return nil }
        var options = DataPathOptions(path: folder)
        options.journal = journal
        options.syncTimeout = syncTimeout
        return options
    }
}

/// The event after which a publish is acknowledged: the write to the file system, or the fsync.
package enum SyncPolicy: String, Sendable {
    case write, always
}

/// Options of the statistics that are sent to statsd.
package struct StatsdOptions: Sendable {
    /// The address of statsd, as `host:port`. An empty text disables the reports.
    package var address = ""
    package var prefix = "nsq.%s"
    package var interval = Duration.seconds(60)
    package var sendsMemory = true
    package var packetBytes = 508
    package var excludesEphemeral = false
}

/// The tracked percentiles of end-to-end latencies.
package struct LatencyOptions: Sendable {
    /// The percentiles in (0, 1], the highest first.
    package var percentiles: [Double] = []
    package var window = Duration.seconds(600)
}

/// Options of nsqd's experimental preference for consumers in the same zone or region. They are
/// accepted and ignored, because this broker has no such preference.
package struct TopologyOptions: Sendable {
    package var region = ""
    package var zone = ""
    package var experiments: [String] = []
}

/// Options of nsqd's periodic queue scan. They are accepted and ignored, because this broker has no
/// such scan.
package struct ScanOptions: Sendable {
    package var selectionCount = 20
    package var workerPoolMax = 4
}

extension AddressOptions {
    /// Stores the bound address. Its port becomes the announced port, unless the options set one.
    mutating func bound(tcp endpoint: Endpoint) {
        tcp = endpoint.description
        if broadcastTCPPort == 0 { broadcastTCPPort = endpoint.tcpAddress?.port ?? 0 }
    }

    /// Stores the bound address of HTTPS.
    mutating func bound(https endpoint: Endpoint) { https = endpoint.description }

    /// Stores the bound address of HTTP. Its port becomes the announced port, unless the options
    /// set one.
    mutating func bound(http endpoint: Endpoint) {
        http = endpoint.description
        if broadcastHTTPPort == 0 { broadcastHTTPPort = endpoint.tcpAddress?.port ?? 0 }
    }
}

extension ServerOptions {
    /// The maximum number of TCP connections: three quarters of the file descriptors, unless the
    /// options set a limit. Half of the remaining descriptors are for HTTP connections, half for
    /// files and the broker's own requests.
    var tcpConnectionLimit: Int {
        maxConnections > 0 ? maxConnections : max(1, DescriptorLimit.forConnections / 4 * 3)
    }

    var httpConnectionLimit: Int {
        maxConnections > 0 ? maxConnections : max(1, DescriptorLimit.forConnections / 8)
    }
}
