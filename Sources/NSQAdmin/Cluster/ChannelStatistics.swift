import TallyBasics
import TallyJSON

/// The statistics of a channel at one nsqd, or the sums over several.
package struct ChannelStatistics: Sendable {
    /// The HTTP address of the nsqd; `*` for sums.
    package var node: String
    package var hostname = ""
    package var topic: String
    package var name: String
    package var depth = 0
    package var backendDepth = 0
    package var inFlightCount = 0
    package var deferredCount = 0
    package var requeueCount = 0
    package var timeoutCount = 0
    package var messageCount = 0
    package var localCounts = LocalCounts()
    package var clientCount = 0
    /// `true` if the channel is paused at one nsqd or more.
    package var isPaused = false
    package var latency = LatencyPercentiles()
    /// The statistics at each nsqd, sorted by host name; `nil` if this value is itself for one
    /// nsqd.
    package var nodes: [ChannelStatistics]?
    /// The consumers; `nil` if they were not requested.
    package var clients: [ClientStatistics]?

    package var memoryDepth: Int { depth.subtractingSaturated(backendDepth) }

    /// Creates sums with the value 0, to which ``add(_:)`` adds.
    init(sumsOf name: String, topic: String) {
        node = "*"
        self.topic = topic
        self.name = name
    }

    /// Reads one channel from the statistics of an nsqd.
    init(_ json: JSONValue, name: String, topic: String, of info: NodeInfo) {
        node = info.httpAddress
        hostname = info.hostname
        self.topic = topic
        self.name = name
        depth = json.count("depth")
        backendDepth = json.count("backend_depth")
        inFlightCount = json.count("in_flight_count")
        deferredCount = json.count("deferred_count")
        requeueCount = json.count("requeue_count")
        timeoutCount = json.count("timeout_count")
        messageCount = json.count("message_count")
        localCounts = LocalCounts(json)
        clientCount = json.count("client_count")
        isPaused = json.flag("paused")
        latency = json["e2e_processing_latency"].map { LatencyPercentiles($0) } ?? latency
        clients = json.elements("clients")?.map { element in
            var client = ClientStatistics(element)
            client.node = info.httpAddress
            client.nodeTopologyRegion = info.topologyRegion
            client.nodeTopologyZone = info.topologyZone
            return client
        }
    }

    /// Adds the statistics of the channel at an nsqd.
    mutating func add(_ other: ChannelStatistics) {
        depth.addSaturated(other.depth)
        backendDepth.addSaturated(other.backendDepth)
        inFlightCount.addSaturated(other.inFlightCount)
        deferredCount.addSaturated(other.deferredCount)
        requeueCount.addSaturated(other.requeueCount)
        timeoutCount.addSaturated(other.timeoutCount)
        messageCount.addSaturated(other.messageCount)
        localCounts.add(other.localCounts)
        clientCount.addSaturated(other.clientCount)
        isPaused = isPaused || other.isPaused
        latency.add(other.latency)
        if nodes == nil { nodes = [] }
        nodes?.append(other)
        guard let others = other.clients, !others.isEmpty else { return }
        if clients == nil { clients = [] }
        clients?.append(contentsOf: others)
    }

    /// Sorts the nodes and the clients. Call it after the last ``add(_:)``.
    mutating func sort() {
        nodes?.sort { ($0.hostname, $0.node) < ($1.hostname, $1.node) }
        clients?.sort { ($0.hostname, $0.node, $0.clientID) < ($1.hostname, $1.node, $1.clientID) }
    }
}

/// The numbers of deliveries by the distance between nsqd and consumer: same zone, same region, or
/// other. Only newer versions of nsqd report them.
package struct LocalCounts: Sendable {
    var zone = 0
    var region = 0
    var global = 0

    init() {}

    init(_ json: JSONValue) {
        zone = json.count("zone_local_msg_count")
        region = json.count("region_local_msg_count")
        global = json.count("global_msg_count")
    }

    /// The number of all deliveries.
    var sum: Int { zone.addingSaturated(region).addingSaturated(global) }

    mutating func add(_ other: LocalCounts) {
        zone.addSaturated(other.zone)
        region.addSaturated(other.region)
        global.addSaturated(other.global)
    }
}
