import BrokerCore
import Transport
import UVLoop

/// All that can be chosen about a broker and what stands around it, as values. The defaults are
/// nsqd's; which flag sets what stands in `ServerOption.all`.
package struct ServerOptions: Sendable {
    /// The rules of the protocol, and the bounds of what is queued.
    package var core = BrokerOptions()
    package var log = LogOptions()
    package var addresses = AddressOptions()
    package var tls = TLSOptions()
    package var lookup = LookupOptions()
    package var auth = AuthOptions()
    package var httpClient = HTTPClientOptions()
    package var disk = DiskOptions()
    package var statsd = StatsdOptions()
    package var latency = LatencyOptions()
    package var scan = ScanOptions()

    /// Told to those who ask; our message IDs tell nsqds apart without it.
    package var nodeID = System.nodeID
    /// Clients that may be connected, by TCP and by HTTP each; 0 is as many as there are file
    /// descriptors for.
    package var maxConnections = 0
    /// How long to look for what a client says next before the system is to wake the broker; with a
    /// message at a time a client that is close by takes about half of it.
    package var eagerWait = Duration.microseconds(50)

    /// What nobody but the start of the process looks at.
    package var process = ProcessOptions()

    package init() {}
}

package struct ProcessOptions: Sendable {
    package var configFile = ""
    package var showsVersion = false
    /// Two flags that nsqd still takes and no longer follows.
    package var verbose = false
    package var workerID = false
}

package struct LogOptions: Sendable {
    package var level = LogLevel.info
    /// What each line begins with.
    package var prefix = "[nsqd] "
}

/// Where to listen, as `host:port` or the path of a Unix-domain socket, and what to tell others.
package struct AddressOptions: Sendable {
    package var tcp = "0.0.0.0:4150"
    /// Empty: nowhere, here and below.
    package var http = "0.0.0.0:4151"
    package var https = "0.0.0.0:4152"

    package var broadcast = System.hostname
    /// 0: the port that is listened on.
    package var broadcastTCPPort = 0
    package var broadcastHTTPPort = 0
}

/// Files are PEM; an empty name is none.
package struct TLSOptions: Sendable {
    package var certificateFile = ""
    package var keyFile = ""
    package var rootCAFile = ""
    /// Any other text than `require` and `require-verify` asks nothing of clients but that they
    /// use TLS, as in nsqd.
    package var clientAuthPolicy = ""
    package var requirement = TLSRequirement.nowhere
    package var minVersion = TLSVersion.tls10
}

/// Where TLS is required.
package enum TLSRequirement: Int, Sendable {
    case nowhere
    /// On connections of the TCP protocol, while plain HTTP stays open.
    case exceptHTTP
    case everywhere
}

package struct LookupOptions: Sendable, Equatable {
    /// The nsqlookupds to register with. May change while the broker runs.
    package var tcpAddresses: [String] = []
    /// How long each may take to connect, and for an answer. No flag of nsqd's.
    package var patience = Duration.seconds(1)
}

package struct AuthOptions: Sendable {
    /// The servers to ask, as `host:port` or whole URLs; none: clients need no permission.
    package var httpAddresses: [String] = []
    package var requestMethod = "get"
}

/// For the requests that the broker makes.
package struct HTTPClientOptions: Sendable {
    package var connectTimeout = Duration.seconds(2)
    package var requestTimeout = Duration.seconds(5)
}

/// What outlives the process, and how.
package struct DiskOptions: Sendable {
    /// The folder for it, which must be there; empty: messages are in memory only.
    package var dataPath = ""
    package var journal = Journal.Options()
    package var syncTimeout = Duration.seconds(2)

    package var sync: SyncPolicy {
        get { journal.answersAfterSync ? .always : .write }
        set { journal.answersAfterSync = newValue == .always }
    }

    var dataPathOptions: DataPathOptions? {
        guard !dataPath.isEmpty else { return nil }
        var options = DataPathOptions(path: dataPath)
        options.journal = journal
        options.syncTimeout = syncTimeout
        return options
    }
}

/// When a publish is answered: once it is with the system, or once it is synced.
package enum SyncPolicy: String, Sendable {
    case write, always
}

package struct StatsdOptions: Sendable {
    /// Where to push to, as `host:port`; empty: nowhere.
    package var address = ""
    package var prefix = "nsq.%s"
    package var interval = Duration.seconds(60)
    package var sendsMemory = true
    package var packetBytes = 508
    package var excludesEphemeral = false
}

/// Which end-to-end latencies to keep track of.
package struct LatencyOptions: Sendable {
    /// Highest first.
    package var percentiles: [Double] = []
    package var window = Duration.seconds(600)
}

/// How nsqd looks for timeouts. Ours come by alarms, so there is nothing to look for.
package struct ScanOptions: Sendable {
    package var selectionCount = 20
    package var workerPoolMax = 4
}

extension AddressOptions {
    /// What is listened on is known, and with it what others are told unless that was chosen.
    mutating func bound(tcp endpoint: Endpoint) {
        tcp = endpoint.description
        if broadcastTCPPort == 0 { broadcastTCPPort = endpoint.tcpAddress?.port ?? 0 }
    }

    mutating func bound(http endpoint: Endpoint) {
        http = endpoint.description
        if broadcastHTTPPort == 0 { broadcastHTTPPort = endpoint.tcpAddress?.port ?? 0 }
    }
}

extension ServerOptions {
    /// Unless a number was chosen, three quarters of the file descriptors are for clients by TCP;
    /// of the rest, half is for those by HTTP, and half for files and for the broker's own calls.
    var tcpConnectionLimit: Int {
        maxConnections > 0 ? maxConnections : max(1, FileLimit.current / 4 * 3)
    }

    var httpConnectionLimit: Int {
        maxConnections > 0 ? maxConnections : max(1, FileLimit.current / 8)
    }
}
