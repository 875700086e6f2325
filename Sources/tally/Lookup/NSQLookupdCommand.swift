import ArgumentParser
import GoFlags
import Logging
import NSQBroker
import NSQLookup

/// `tally nsqlookupd`: tells consumers which nsqds have a topic.
struct NSQLookupdCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsqlookupd",
        abstract: "Tells consumers which nsqds have a topic, with nsqlookupd's flags.")

    static let flags = FlagSet(name: "nsqlookupd", options: LookupProgramOptions.table)

    static let defaults = LookupProgramOptions()

    static let exampleLines = [
        "tally nsqlookupd --http-address=127.0.0.1:4161 & sleep 1",
        "curl -X POST 'http://127.0.0.1:4161/topic/create?topic=plays'",
        "curl 'http://127.0.0.1:4161/lookup?topic=plays'",
        "kill $!",
    ]

    static func version(_ options: LookupProgramOptions) -> String? {
        options.showsVersion
            ? "nsqlookupd v\(options.lookup.version) (built w/swift)" : nil
    }

    /// Runs until a signal arrives.
    ///
    /// - Returns: the same exit status as nsqlookupd: 1 for invalid options.
    static func run(_ parsed: FlagSet<LookupProgramOptions>.Parsed) async -> Int32 {
        guard
            let (options, logger) = configured(
                parsed, by: LookupProgramOptions.table, file: \.configFile, log: \.log)
        else { return 1 }
        return await run(options.lookup, logger)
    }

    private static func run(_ options: LookupServerOptions, _ logger: Logger) async -> Int32 {
        do {
            let signals = try await StopSignals.watch()
            let lookup = try await EmbeddedLookup.start(options, logger: logger)
            _ = await signals.next()
            await lookup.stop()
            await signals.stop()
            return 0
        } catch {
            logger.critical("failed to instantiate nsqlookupd - \(error)")
            return 1
        }
    }
}
