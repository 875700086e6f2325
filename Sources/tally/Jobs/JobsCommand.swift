import ArgumentParser

/// `tally jobs`: stores, performs and shows background jobs.
struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Stores background jobs, performs them, and shows them.",
        discussion: """
            A job has a name, arguments in JSON, and a queue. It is a row of an SQLite file, and \
            NSQ wakes the workers. tally jobs serve runs a broker for them, and tally jobs work \
            performs jobs with any program.
            """
                + HelpText.examples(
                    #"""
                    tally jobs serve --store=jobs.sqlite & sleep 1
                    tally jobs enqueue greet --args='{"name":"Ada"}' --store=jobs.sqlite
                    tally jobs work --store=jobs.sqlite --until-empty -- cat
                    tally jobs list --store=jobs.sqlite
                    tally jobs stats --store=jobs.sqlite
                    kill $!
                    """#),
        subcommands: [
            EnqueueJobCommand.self, WorkCommand.self, JobStepCommand.self, ServeJobsCommand.self,
            ListJobsCommand.self, ShowJobCommand.self, JobNamesCommand.self,
            RetryJobsCommand.self, CancelJobsCommand.self, DiscardJobsCommand.self,
            MoveJobsCommand.self, EditJobCommand.self, PauseQueueCommand.self,
            ResumeQueueCommand.self, LimitQueueCommand.self, JobStatisticsCommand.self,
            PruneJobsCommand.self, BatchCommand.self, CronCommand.self, JobsBenchCommand.self,
        ])
}
