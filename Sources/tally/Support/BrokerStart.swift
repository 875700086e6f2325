import BrokerCore
import Glibc
import Logging
import NSQBroker

/// The options of a broker from a command line and the configuration file that it names.
struct BrokerStart {
    let options: ServerOptions
    let logger: Logger

    /// What holds where nothing is said: nsqd's defaults, and half of the machine's memory.
    static var defaults: ServerOptions {
        var options = ServerOptions()
        options.core.maxMemoryBytes =
            sysconf(Int32(_SC_PHYS_PAGES)) / 2 * sysconf(Int32(_SC_PAGESIZE))
        return options
    }

    /// The same for a broker that shares its process with a processor: what memory and time it does
    /// not need are better used there than kept for what comes next.
    static var besideProcessor: ServerOptions {
        var options = defaults
        options.core.maxSpareBytes = 32 << 20
        options.eagerWait = .zero
        return options
    }

    /// - Throws: `SetupError` if the configuration file cannot be followed.
    init(_ parsed: FlagSet.Parsed) throws(SetupError) {
        var options = parsed.values
        var unknown: [String] = []
        let path = options.process.configFile
        if !path.isEmpty {
            let file = try ConfigFile(path: path)
            unknown = try file.apply(to: &options, exceptFor: parsed.given)
        }
        self.options = options
        logger = LineLog.logger(prefix: options.log.prefix, options.log.level)
        for key in unknown {
            logger.warning("\(path): there is no option \(key)")
        }
        if !parsed.rest.isEmpty {
            let words = parsed.rest.joined(separator: " ")
            logger.warning("no notice is taken of what stands behind the flags: \(words)")
        }
    }

    func start() async throws -> EmbeddedBroker {
        try await EmbeddedBroker.start(options, logger)
    }
}
