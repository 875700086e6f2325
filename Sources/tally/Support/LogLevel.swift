import ArgumentParser
import NSQBroker

extension LogLevel: ExpressibleByArgument {
    public init?(argument: String) { self.init(text: argument) }
}
