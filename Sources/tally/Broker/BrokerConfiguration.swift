import BrokerCore
import Glibc
import GoFlags
import Logging
import NSQBroker
import UVLoop

/// A broker's options, combined from the command line and the configuration file.
struct BrokerConfiguration {
    let options: ServerOptions
    let logger: Logger
    private let sharedLevel: LineLog.SharedLevel
    /// The configuration file from which the log level is read again at each SIGHUP; `nil` if there
    /// is no file, or if a flag sets the level.
    private let levelFile: String?

    /// The default options of nsqd, with half of the machine's memory as the limit for messages.
    static var defaults: ServerOptions {
        var options = ServerOptions()
        options.core.maxMemoryBytes =
            sysconf(Int32(_SC_PHYS_PAGES)) / 2 * sysconf(Int32(_SC_PAGESIZE))
        return options
    }

    /// The default options for a broker that runs in the same process as a processor. It keeps less
    /// spare memory and does not busy-poll, which leaves memory and CPU time for the processor.
    static var besideProcessorDefaults: ServerOptions {
        var options = defaults
        options.core.maxSpareBytes = 32 << 20
        options.busyPoll = .zero
        return options
    }

    /// Combines the command line with the configuration file that it names, if any.
    ///
    /// - Parameter levelFile: a configuration file whose values `parsed` contains already; `nil` if
    ///   there is none, or if a flag sets the log level.
    /// - Throws: `SetupError` if the file cannot be read or has an invalid value, or if a socket
    ///   that the service manager has passed cannot be used.
    init(
        _ parsed: FlagSet<ServerOptions>.Parsed, levelFile: String? = nil
    ) throws(SetupError) {
        var options = parsed.values
        options.addresses.inherited = try SocketActivation.ofProcess().sockets
        var unknown: [String] = []
        let path = options.process.configFile
        if !path.isEmpty {
            let file = try ConfigFile(path: path)
            unknown = try file.apply(ServerOption.all, to: &options, except: parsed.given)
        }
        self.options = options
        self.levelFile = levelFile ?? Self.levelFile(parsed)
        sharedLevel = LineLog.SharedLevel(options.log.level.level)
        logger = LineLog.logger(options.log, sharing: sharedLevel)
        for key in unknown {
            logger.warning("\(path): unknown option \(key)")
        }
        if !parsed.rest.isEmpty {
            let words = parsed.rest.joined(separator: " ")
            logger.warning("ignored arguments after the flags: \(words)")
        }
    }

    /// Sets the level of all loggers of this configuration.
    func setLevel(_ level: LogLevel) { sharedLevel.withLock { $0 = level.level } }

    /// Returns a logger with another prefix and the same level, for another part of the process.
    func logger(named name: String) -> Logger {
        var log = options.log
        log.prefix = "[\(name)] "
        return LineLog.logger(log, sharing: sharedLevel)
    }

    /// Returns the configuration file that a command line names; `nil` if it names none, or if a
    /// flag sets the log level.
    static func levelFile(_ commandLine: FlagSet<ServerOptions>.Parsed) -> String? {
        let path = commandLine.values.process.configFile
        return path.isEmpty || commandLine.given.contains("log-level") ? nil : path
    }

    /// Reads the configuration file again.
    ///
    /// - Returns: the log level to set; `nil` if it does not change.
    /// - Throws: `SetupError` if the file cannot be read, or if its level is invalid.
    func reloadedLevel() throws(SetupError) -> LogLevel? {
        guard let levelFile else { return nil }
        let file = try ConfigFile(rereading: levelFile)
        var reloaded = ServerOptions()
        for option in ServerOption.all where option.flag == "log-level" {
            for (key, value) in file.values where CommandConfigFile.name(of: key) == option.flag {
                try file.set(option, of: &reloaded, key, to: value)
            }
        }
        return reloaded.log.level
    }

    func startBroker() async throws -> EmbeddedBroker {
        try await EmbeddedBroker.start(options, logger)
    }
}
