import ArgumentParser
import NSQJobs

/// The options that determine which ended jobs are deleted.
struct PruningOptions: ParsableArguments {
    @Option(help: "How long completed jobs are kept; forever for no limit.")
    var keepCompleted = KeepTime("168h")

    @Option(help: "How long cancelled jobs are kept; forever for no limit.")
    var keepCancelled = KeepTime("168h")

    @Option(help: "How long discarded jobs are kept; forever for no limit.")
    var keepDiscarded = KeepTime("2160h")

    @Option(
        help: "The maximum number of completed and of cancelled jobs that are kept in each queue.")
    var keepCount = 1_000_000

    func validate() throws {
        try require("--keep-count", keepCount, in: 0...1_000_000_000)
    }

    var pruning: JobPruning {
        var pruning = JobPruning()
        pruning.completed = .init(maxAge: keepCompleted.duration, maxCount: keepCount)
        pruning.cancelled = .init(maxAge: keepCancelled.duration, maxCount: keepCount)
        pruning.discarded = .init(maxAge: keepDiscarded.duration)
        return pruning
    }
}

/// A duration, or `forever`.
struct KeepTime: ExpressibleByArgument, CustomStringConvertible {
    private static let forever = "forever"

    /// The duration; `nil` means forever.
    let duration: Duration?
    let description: String

    init?(argument: String) {
        description = argument
        guard argument != Self.forever else {
            duration = nil
            return
        }
        guard let parsed = GoDuration(argument: argument)?.duration, parsed >= .zero else {
            return nil
        }
        duration = parsed
    }

    /// - Precondition: the text is a duration.
    fileprivate init(_ text: String) {
        self.init(argument: text)!
    }
}
