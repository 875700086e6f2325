import ArgumentParser
import Logging
import NSQBroker

/// The options of a command's log.
struct LogArguments: ParsableArguments {
    @Option(
        help: """
            The log level: debug, info, warn, error or fatal; info by default, and error in tally \
            produce.
            """)
    var logLevel: LogLevel?

    @Option(help: "The format of the log: text or json, with one object a line.")
    var logFormat = LogFormat.text

    /// - Parameters:
    ///   - name: the name of the program or the part of it that writes the lines.
    ///   - defaultLevel: the lowest level to log if the command line does not set one.
    func logger(_ name: String, defaultLevel: LogLevel = .info) -> Logger {
        LineLog.logger(name, logLevel ?? defaultLevel, logFormat)
    }
}

extension LogLevel: ExpressibleByArgument {
    /// Parses the value of `--log-level`.
    public init?(argument: String) { self.init(text: argument) }
}

extension LogFormat: ExpressibleByArgument {}
