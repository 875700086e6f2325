import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// The options that select the jobs that a command changes.
struct ChangedJobs: ParsableArguments {
    @Argument(help: "The IDs of the jobs.")
    var ids: [JobID]

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        guard ids.count <= 10_000 else {
            throw ValidationError("a command can change up to 10000 jobs, not \(ids.count)")
        }
    }

    /// Changes the jobs one after the other, and prints each.
    ///
    /// - Throws: the first error. Jobs before the failed one are already changed and printed.
    func change(_ change: (Jobs, JobID) async throws -> JobRecord) async throws {
        try await options.withJobs { jobs in
            for id in ids {
                let job = try await change(jobs, id)
                let request = job.isCancelRequested ? ", cancellation requested" : ""
                options.print(
                    json: JobJSON.job(job),
                    text: "job \(id) of queue '\(job.queue)' is \(job.state)\(request)")
            }
        }
    }
}
