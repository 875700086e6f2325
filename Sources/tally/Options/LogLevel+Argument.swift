import ArgumentParser
import NSQBroker

extension LogLevel: ExpressibleByArgument {
    /// Parses the value of `--log-level`.
    public init?(argument: String) { self.init(text: argument) }
}
