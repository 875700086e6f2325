import ArgumentParser
import BrokerCore
import Foundation
import GoFlags
import Logging
import NSQBroker

/// `tally nsqd`: runs only the broker. A binary with the file name `nsqd` does the same.
///
/// The command line has nsqd's flags in Go's syntax, so `Tally.main` passes the arguments to
/// ``status(of:)`` unparsed. As a `ParsableCommand`, this type only appears in the list of
/// subcommands in `tally --help`.
struct NSQDCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nsqd",
        abstract: "Runs the NSQ broker only, with nsqd's flags, until SIGINT or SIGTERM.")

    private static let flags = FlagSet(name: "nsqd")

    /// The examples of the help and the manual: one session of a POSIX shell.
    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --data-path=messages & sleep 1",
        "curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'",
        "curl 'http://127.0.0.1:4151/stats?topic=plays'",
        "kill $!; wait",
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "kill $!",
    ]

    private static let examples =
        "\nEXAMPLES\n" + exampleLines.map { "  \($0)" }.joined(separator: "\n")

    /// Runs the broker until a signal arrives.
    ///
    /// - Parameter name: the command by which the user started the broker.
    /// - Returns: the same exit status as nsqd: 2 for an invalid command line, 1 for invalid options.
    static func status(of arguments: [String], name: String) async -> Int32 {
        var defaults = BrokerConfiguration.defaults
        defaults.disk.defaultDataPath = FileManager.default.currentDirectoryPath
        let parsed: FlagSet<ServerOptions>.Parsed
        do throws(FlagError) {
            parsed = try flags.parse(arguments, over: defaults)
        } catch {
            guard case .invalid(let text, let remedy) = error else {
                StandardError.print(flags.usage(defaults) + "\n" + examples)
                return 0
            }
            // nsqd prints its whole usage here, above which the error would not be visible.
            StandardError.print(text + (remedy.map { " (\($0))" } ?? ""))
            StandardError.print("See '\(name) --help'.")
            return 2
        }
        if parsed.values.process.showsVersion {
            print("nsqd v\(parsed.values.core.version) (built w/swift)")
            return 0
        }
        return await run(parsed, defaults)
    }

    private static func run(
        _ parsed: FlagSet<ServerOptions>.Parsed, _ defaults: ServerOptions
    ) async -> Int32 {
        let configuration: BrokerConfiguration
        do throws(SetupError) {
            configuration = try BrokerConfiguration(parsed)
        } catch {
            LineLog.logger(prefix: defaults.log.prefix, .fatal).critical("\(error)")
            return 1
        }
        let logger = configuration.logger
        do {
            let signals = try await StopSignals.watch()
            let broker = try await configuration.startBroker()
            let signal = await signals.next()
            logger.info("\(signal ?? "stop"): exiting")
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
