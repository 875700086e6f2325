import ArgumentParser
import GoFlags
import LivePage
import Logging
import NSQAdmin
import NSQBroker

/// `tally nsqadmin`: shows and changes the topics of a cluster in a browser.
struct NSQAdminCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsqadmin",
        abstract: "Shows and changes the topics of a cluster in a browser, with nsqadmin's flags.")

    static let flags = FlagSet(name: "nsqadmin", options: AdminOption.table)

    static let defaults = AdminOptions()

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --http-address=127.0.0.1:4151 --memory-only & sleep 1",
        "tally nsqadmin --http-address=127.0.0.1:4171 --nsqd-http-address=127.0.0.1:4151 & sleep 1",
        "curl -X POST 'http://127.0.0.1:4151/topic/create?topic=plays'",
        "curl 'http://127.0.0.1:4171/api/topics'",
        "kill %1 %2",
    ]

    static func version(_ options: AdminOptions) -> String? {
        options.program.showsVersion ? "nsqadmin v\(options.version) (built w/swift)" : nil
    }

    /// Runs until a signal arrives.
    ///
    /// - Returns: the same exit status as nsqadmin: 1 for invalid options.
    static func run(_ parsed: FlagSet<AdminOptions>.Parsed) async -> Int32 {
        guard
            let (options, logger) = configured(
                parsed, by: AdminOption.table, file: \.program.configFile, log: \.log)
        else { return 1 }
        return await run(options, logger)
    }

    private static func run(_ options: AdminOptions, _ logger: Logger) async -> Int32 {
        do {
            let signals = try await StopSignals.watch()
            let admin = try await EmbeddedAdmin.start(options, logger: logger)
            _ = await signals.next()
            await admin.stop()
            await signals.stop()
            return 0
        } catch {
            logger.critical("failed to instantiate nsqadmin - \(error)")
            return 1
        }
    }
}
