import ArgumentParser
import BrokerCore
import Glibc
import Logging
import NSQBroker

/// `tally nsqd`: the broker alone. So does the binary when it is called by the name `nsqd`.
///
/// Its command line is nsqd's, with Go's forms; `Tally.main` hands it over as it is. To the parser of
/// the other commands this is a name in a list.
struct NSQDCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nsqd",
        abstract: "Runs the NSQ broker alone, until SIGINT or SIGTERM; takes nsqd's flags.")

    private static let flags = FlagSet(name: "nsqd")

    private static let examples = """

        EXAMPLES
          tally nsqd --tcp-address=127.0.0.1:4150
          nsq_tail --nsqd-tcp-address=127.0.0.1:4150 --topic=plays
          curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'
        """

    /// Runs until a signal comes.
    ///
    /// - Returns: the exit status, as nsqd's: 2 for a command line that is none, 1 for options that
    ///   cannot be followed.
    static func status(of arguments: [String]) async -> Int32 {
        let defaults = BrokerStart.defaults
        let parsed: FlagSet.Parsed
        do throws(FlagError) {
            parsed = try flags.parse(arguments, over: defaults)
        } catch {
            if case .mistake(let text) = error { StandardError.print(text) }
            StandardError.print(flags.usage(defaults) + examples)
            return error == .helpWanted ? 0 : 2
        }
        if parsed.values.process.showsVersion {
            print("nsqd v\(parsed.values.core.version) (built w/swift)")
            return 0
        }
        return await run(parsed, defaults)
    }

    private static func run(
        _ parsed: FlagSet.Parsed, _ defaults: ServerOptions
    ) async -> Int32 {
        let start: BrokerStart
        do throws(SetupError) {
            start = try BrokerStart(parsed)
        } catch {
            LineLog.logger(prefix: defaults.log.prefix, .fatal).critical("\(error)")
            return 1
        }
        let logger = start.logger
        do {
            let signals = try await StopSignals.watch()
            let broker = try await start.start()
            let signal = await signals.next()
            logger.info("\(signal ?? "stop"): exiting")
            await broker.stop()
            signals.stop()
            logger.info("NSQ: bye")
            return 0
        } catch {
            logger.critical("failed to instantiate nsqd - \(error)")
            return 1
        }
    }
}
