import ArgumentParser
import TallyBasics

/// The options of the filter that selects messages of a queue.
struct MessageFilterOptions: ParsableArguments {
    @Option(help: "Only messages in one of these states, as ready,in_flight,deferred.")
    var state: String?

    @Option(help: "Only messages whose body contains this text, of at most 1024 bytes.")
    var contains: String?

    @Option(help: "Only messages with at least this number of deliveries.")
    var minAttempts: Int?

    @Option(
        help: "Only messages that were published at least this long ago, such as 10m.",
        transform: GoDuration.init(flag:))
    var minAge: GoDuration?

    func validate() throws {
        let states = ["ready", "in_flight", "deferred"]
        for word in state?.split(separator: ",", omittingEmptySubsequences: false) ?? []
        where !states.contains(String(word)) {
            throw ValidationError(
                "unknown state '\(word)': use \(states.joined(separator: ", ")), with commas")
        }
        if let contains, !(1...1024).contains(contains.utf8.count) {
            throw ValidationError("--contains must have between 1 and 1024 bytes")
        }
        try require("--min-attempts", minAttempts ?? 0, in: 0...65_535)
    }

    /// `true` if no option is given, so that all messages are selected.
    var isEmpty: Bool { arguments.isEmpty }

    /// The filter as arguments of a request to the nsqd.
    var arguments: [String: String] {
        var arguments: [String: String] = [:]
        arguments["state"] = state
        arguments["contains"] = contains
        arguments["min_attempts"] = minAttempts.map(String.init)
        arguments["min_age_ms"] = minAge.map { String($0.duration.milliseconds) }
        return arguments
    }
}
