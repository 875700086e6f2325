import ArgumentParser
import BrokerCore
import Foundation
import GoFlags
import Logging
import NSQBroker

/// `tally nsqd`: runs only the broker.
struct NSQDCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsqd",
        abstract: """
            Runs the NSQ broker only, with nsqd's flags, until SIGINT or SIGTERM, or until it is empty \
            after SIGUSR2.
            """)

    static let flags = FlagSet(name: "nsqd")

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --data-path=messages & sleep 1",
        "curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'",
        "curl 'http://127.0.0.1:4151/stats?topic=plays'",
        "kill $!; wait",
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "kill $!",
    ]

    static var defaults: ServerOptions {
        var defaults = BrokerConfiguration.defaults
        defaults.disk.defaultDataPath = FileManager.default.currentDirectoryPath
        return defaults
    }

    static func version(_ options: ServerOptions) -> String? {
        options.process.showsVersion ? "nsqd v\(options.core.version) (built w/swift)" : nil
    }

    /// Runs the broker until a signal arrives.
    ///
    /// - Returns: the same exit status as nsqd: 1 for invalid options.
    static func run(_ parsed: FlagSet<ServerOptions>.Parsed) async -> Int32 {
        let configuration: BrokerConfiguration
        do throws(SetupError) {
            configuration = try BrokerConfiguration(parsed)
        } catch {
            LineLog.logger(parsed.values.log).critical("\(error)")
            return 1
        }
        let logger = configuration.logger
        do {
            let signals = try await StopSignals.watch()
            let reload = try await BrokerReload.watch(configuration, logger)
            let drain = try await DrainSignal.watch()
            let broker = try await configuration.startBroker()
            signals.reportProgress { broker.submit($0) }
            await reload.start(broker)
            // The broker keeps this closure. So the closure must not refer to the broker, which
            // would be a reference cycle.
            broker.onDrained { signals.requestStop("drained") }
            drain.start(broker)
            let signal = await signals.next()
            logger.info("\(signal ?? "stop"): exiting")
            await drain.stop()
            await reload.stop()
            await broker.stop()
            await signals.stop()
            logger.info("NSQ: bye")
            return 0
        } catch {
            logger.critical("failed to instantiate nsqd - \(error)")
            return 1
        }
    }
}
