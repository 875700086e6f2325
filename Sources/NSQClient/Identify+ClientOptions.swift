import NSQWire
import TallyBasics

extension Identify {
    /// Creates the IDENTIFY body that requests the settings of `options`.
    init(for options: ClientOptions) {
        self.init()
        clientID = options.clientID
        hostname = options.hostname
        userAgent = options.userAgent
        topologyRegion = options.topologyRegion
        topologyZone = options.topologyZone
        featureNegotiation = true
        heartbeatInterval = options.heartbeatInterval.millisecondsRoundedUp
        if options.tls != nil { tls = true }
        switch options.compression {
        case .none: break
        case .snappy: snappy = true
        case .deflate(let level):
            deflate = true
            deflateLevel = level
        }
    }
}
