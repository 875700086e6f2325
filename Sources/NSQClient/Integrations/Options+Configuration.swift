#if ConfigurationSupport
    import Configuration

    // Each option is read from the key with its name. An option without a value keeps its default, and
    // durations are numbers of seconds, such as `heartbeatInterval: 2.5`.

    extension ClientOptions {
        /// Reads the options of the connections.
        ///
        /// The keys are the names of the properties. `compression` is `none`, `snappy` or `deflate`, with
        /// the level in `deflateLevel`; `ioThread` is `shared` or `own`. `tls.enabled` turns TLS on, with
        /// `tls.authorityFile`, `tls.certificateFile`, `tls.keyFile` and `tls.serverName`. `authSecret` is
        /// read as a secret.
        ///
        /// - Parameter config: reads the keys; see `ConfigReader/scoped(to:)` for a prefix.
        /// - Throws: ``NSQError/Code/invalidOption`` for an unknown name, and for a file of ``ClientTLS``
        ///   that cannot be used. The initializers of the clients check the ranges.
        public init(_ config: ConfigReader) throws(NSQError) {
            self.init()
            if config.bool(forKey: "tls.enabled", default: false) {
                tls = try ClientTLS(
                    trust: config.string(forKey: "tls.authorityFile").map { .authorities(file: $0) }
                        ?? .system,
                    certificateFile: config.string(forKey: "tls.certificateFile"),
                    keyFile: config.string(forKey: "tls.keyFile"),
                    serverName: config.string(forKey: "tls.serverName"))
            }
            compression = try config.choice(
                "compression", compression,
                [
                    "none": .none, "snappy": .snappy,
                    "deflate": .deflate(level: config.int(forKey: "deflateLevel", default: 6)),
                ])
            ioThread = try config.choice("ioThread", ioThread, ["shared": .shared, "own": .own])
            authSecret = config.string(forKey: "authSecret", isSecret: true)
            clientID = config.string(forKey: "clientID")
            hostname = config.string(forKey: "hostname")
            userAgent = config.string(forKey: "userAgent", default: userAgent)
            topologyRegion = config.string(forKey: "topologyRegion")
            topologyZone = config.string(forKey: "topologyZone")
            heartbeatInterval = config.duration("heartbeatInterval", heartbeatInterval)
            connectTimeout = config.duration("connectTimeout", connectTimeout)
            minReconnectDelay = config.duration("minReconnectDelay", minReconnectDelay)
            maxReconnectDelay = config.duration("maxReconnectDelay", maxReconnectDelay)
            maxFrameBytes = config.int(forKey: "maxFrameBytes", default: maxFrameBytes)
        }
    }

    extension Producer.Options {
        /// Reads the options, and those of ``client``. The keys are the names of the properties;
        /// `distribution` is `failover` or `roundRobin`.
        ///
        /// - Throws: as ``ClientOptions/init(_:)``.
        public init(_ config: ConfigReader) throws(NSQError) {
            self.init()
            client = try ClientOptions(config)
            distribution = try config.choice(
                "distribution", distribution, ["failover": .failover, "roundRobin": .roundRobin])
            reconnectTimeout = config.duration("reconnectTimeout", reconnectTimeout)
            responseTimeout = config.duration("responseTimeout", responseTimeout)
            republishesLostMessages = config.bool(
                forKey: "republishesLostMessages", default: republishesLostMessages)
            window = config.int(forKey: "window", default: window)
            windowBytes = config.int(forKey: "windowBytes", default: windowBytes)
            maxWaiting = config.int(forKey: "maxWaiting", default: maxWaiting)
            stopTimeout = config.duration("stopTimeout", stopTimeout)
        }
    }

    extension Consumer.Options {
        /// Reads the options, those of ``client``, and with the prefix `lookup` those of ``lookup``. The
        /// keys are the names of the properties; `backoffScope` is `consumer`, `nsqd` or `none`.
        ///
        /// - Throws: as ``ClientOptions/init(_:)``.
        public init(_ config: ConfigReader) throws(NSQError) {
            self.init()
            client = try ClientOptions(config)
            maxInFlight = config.int(forKey: "maxInFlight", default: maxInFlight)
            messageTimeout = config.duration("messageTimeout")
            outputBufferTimeout = config.duration("outputBufferTimeout")
            outputBufferBytes = config.int(forKey: "outputBufferBytes")
            samplePercent = config.int(forKey: "samplePercent")
            lookup.pollInterval = config.duration("lookup.pollInterval", lookup.pollInterval)
            lookup.jitter = config.double(forKey: "lookup.jitter", default: lookup.jitter)
            lookup.timeout = config.duration("lookup.timeout", lookup.timeout)
            backoffMultiplier = config.duration("backoffMultiplier", backoffMultiplier)
            maxBackoff = config.duration("maxBackoff", maxBackoff)
            backoffScope = try config.choice(
                "backoffScope", backoffScope,
                ["consumer": .consumer, "nsqd": .nsqd, "none": .none])
            stopTimeout = config.duration("stopTimeout", stopTimeout)
        }
    }

    extension ConfigReader {
        fileprivate func duration(_ key: ConfigKey) -> Duration? {
            double(forKey: key).map { .seconds($0) }
        }

        fileprivate func duration(_ key: ConfigKey, _ value: Duration) -> Duration {
            duration(key) ?? value
        }

        /// Reads one of several names, and returns its value; `value` if the key is missing.
        fileprivate func choice<Value>(
            _ key: String, _ value: Value, _ names: [String: Value]
        ) throws(NSQError) -> Value {
            guard let name = string(forKey: ConfigKey(key)) else { return value }
            guard let choice = names[name] else {
                let known = names.keys.sorted().joined(separator: ", ")
                throw .invalidOption("\(key) is “\(name)”, but must be one of \(known)")
            }
            return choice
        }
    }
#endif
