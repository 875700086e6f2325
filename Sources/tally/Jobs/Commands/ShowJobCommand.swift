import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs show`: prints one job with its attempts.
struct ShowJobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints one job with its arguments, its output and its attempts.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs show 1
            tally jobs show 1 --json | jq .state
            tally jobs list --queue=default
            """#))

    @Argument(help: "The ID of the job.")
    var id: JobID

    @OptionGroup var options: JobStoreOptions

    func run() async throws {
        let (job, details) = try await options.withJobs { jobs in
            guard let job = try await jobs.status(of: id) else {
                throw UsageError("unknown job '\(id)' in '\(options.store)'")
            }
            return (
                job,
                JobDetails(
                    attempts: try await jobs.attempts(of: id),
                    dependencies: try await jobs.dependencies(of: id),
                    steps: try await jobs.steps(of: id))
            )
        }
        options.print(
            json: JobJSON.job(
                job, attempts: details.attempts, dependencies: details.dependencies,
                steps: details.steps),
            text: JobText.job(job, details))
    }
}
