import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// The options that select the queue that a command changes.
struct ChangedQueue: ParsableArguments {
    @Argument(help: "The name of the queue.")
    var queue: String

    @OptionGroup var options: JobStoreOptions

    /// Pauses or resumes the queue, and prints the result.
    func change(isPaused: Bool) async throws {
        try await options.withJobs { jobs in
            if isPaused { try await jobs.pause(queue) } else { try await jobs.resume(queue) }
        }
        options.print(
            json: JSONWriter.object {
                $0.member("queue", queue)
                $0.member("paused", isPaused)
            }, text: "queue '\(queue)' is \(isPaused ? "paused" : "resumed")")
    }
}
