import BrokerCore
import Glibc
import GoFlags
import Logging
import NSQBroker

/// A broker's options, from the command line and the configuration file.
struct BrokerConfiguration {
    let options: ServerOptions
    let logger: Logger

    /// The default options of nsqd, with half of the machine's memory as the limit for messages.
    static var defaults: ServerOptions {
        var options = ServerOptions()
        options.core.maxMemoryBytes =
            sysconf(Int32(_SC_PHYS_PAGES)) / 2 * sysconf(Int32(_SC_PAGESIZE))
        return options
    }

    /// The default options for a broker in the same process as a processor. The broker keeps less
    /// spare memory and does not busy-poll, which leaves memory and CPU time for the
    /// processor.
    static var besideProcessorDefaults: ServerOptions {
        var options = defaults
        options.core.maxSpareBytes = 32 << 20
        options.busyPoll = .zero
        return options
    }

    /// Combines the command line with the configuration file, if the command line names one.
    ///
    /// - Throws: `SetupError` if the file cannot be read or has an invalid value.
    init(_ parsed: FlagSet<ServerOptions>.Parsed) throws(SetupError) {
        var options = parsed.values
        var unknown: [String] = []
        let path = options.process.configFile
        if !path.isEmpty {
            let file = try ConfigFile(path: path)
            unknown = try file.apply(ServerOption.all, to: &options, except: parsed.given)
        }
        self.options = options
        logger = LineLog.logger(prefix: options.log.prefix, options.log.level)
        for key in unknown {
            logger.warning("\(path): unknown option \(key)")
        }
        if !parsed.rest.isEmpty {
            let words = parsed.rest.joined(separator: " ")
            logger.warning("ignored arguments after the flags: \(words)")
        }
    }

    func startBroker() async throws -> EmbeddedBroker {
        try await EmbeddedBroker.start(options, logger)
    }
}
