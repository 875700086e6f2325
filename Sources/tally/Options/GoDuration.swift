import ArgumentParser
import NSQBroker
import NSQWire
import TallyBasics

/// A duration in Go's syntax, which all of NSQ's flags use: `60s`, `1m30s`, `250ms`, `1.5h`. A
/// duration longer than ``Limits/longestDuration`` is shortened to that limit.
///
/// An option has this type with `@Option(durationHelp:)`, which shows the default in the help and
/// explains an invalid value.
struct GoDuration: CustomStringConvertible, Sendable {
    let duration: Duration
    private let text: String

    init?(argument: String) {
        guard let duration = Duration(goText: argument) else { return nil }
        self.duration = min(duration, Limits.longestDuration)
        text = argument
    }

    /// Parses the value of an option on the command line.
    init(flag text: String) throws {
        guard let duration = GoDuration(argument: text) else {
            throw ValidationError(Duration.remedy(forGoText: text))
        }
        self = duration
    }

    var description: String { text }
}

extension Option<GoDuration> {
    /// Creates an option with a default duration.
    ///
    /// The argument parser shows no default of an option with a transformation, so the help has it.
    init(
        wrappedValue: GoDuration, name: NameSpecification = .long, durationHelp help: String
    ) {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: ArgumentHelp("\(help) (default: \(wrappedValue))"),
            transform: GoDuration.init(flag:))
    }
}
