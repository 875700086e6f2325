import ArgumentParser
import NSQBroker
import NSQWire
import TallyBasics

/// A duration in Go's syntax, which all flags of NSQ use: `60s`, `1m30s`, `250ms`, `1.5h`. A
/// duration longer than ``Limits/longestDuration`` is reduced to that limit.
///
/// Declare an option of this type with `@Option(durationHelp:)`, which shows the default in the
/// help and explains an invalid value.
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
    /// ArgumentParser does not show the default of an option with a transformation, so the help
    /// text contains it.
    init(
        wrappedValue: GoDuration, name: NameSpecification = .long, durationHelp help: String
    ) {
        self.init(
            wrappedValue: wrappedValue, name: name,
            help: ArgumentHelp("\(help) (default: \(wrappedValue))"),
            transform: GoDuration.init(flag:))
    }
}
