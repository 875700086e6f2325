import ArgumentParser
import NSQBroker

/// A length of time in Go's syntax, as all of NSQ's flags take it: `60s`, `1m30s`, `250ms`, `1.5h`.
struct GoDuration: ExpressibleByArgument, CustomStringConvertible {
    let duration: Duration
    private let text: String

    init?(argument: String) {
        guard let duration = Duration(goText: argument) else { return nil }
        self.duration = duration
        text = argument
    }

    var defaultValueDescription: String { text }
    var description: String { text }
}
