import ArgumentParser
import Foundation
import NSQJobs
import TallyJSON

/// `tally jobs cron`: schedules that enqueue jobs at the times of a cron expression.
struct CronCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cron",
        abstract: "Stores, prints and deletes schedules that enqueue jobs at given times.",
        discussion: """
            The relays of the store enqueue the jobs. Each tick is enqueued once, even by several.
            """
                + HelpText.examples(
                    #"""
                    tally jobs cron add nightly '30 2 * * *' report --time-zone=Europe/Berlin
                    tally jobs cron add poll '*/5 * * * *' poll --missed=skip
                    tally jobs cron list
                    tally jobs cron remove poll
                    """#),
        subcommands: [AddCronCommand.self, ListCronCommand.self, RemoveCronCommand.self])
}

/// `tally jobs cron add`: stores a schedule. It replaces a schedule with the same name.
struct AddCronCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Stores a schedule, or replaces the one with the same name.",
        discussion: """
            The expression has five fields: minute, hour, day of month, month and day of week, or \
            is one of @hourly, @daily, @weekly, @monthly and @yearly.
            """
                + HelpText.examples(
                    #"""
                    tally jobs cron add nightly '30 2 * * *' report --args='{"days":1}'
                    tally jobs cron add weekly @weekly cleanup --queue=low
                    tally jobs cron add poll '*/5 8-18 * * mon-fri' poll --missed=skip
                    tally jobs cron list
                    """#))

    @Argument(help: "The name of the schedule.")
    var schedule: String

    @Argument(help: "When the job is enqueued, as a cron expression.")
    var expression: String

    @Argument(help: "The name of the job.")
    var name: String

    @Option(help: "The arguments of the job as JSON.")
    var args = "{}"

    @Option(help: "The time zone of the expression, such as Europe/Berlin.")
    var timeZone = "UTC"

    @Option(help: "Which of the ticks that passed while no process ran are enqueued later.")
    var missed = Missed.latest

    @OptionGroup var settings: JobSettings

    @OptionGroup var options: JobStoreOptions

    enum Missed: String, ExpressibleByArgument, CaseIterable {
        case skip, latest, all

        var ticks: MissedTicks {
            switch self {
            case .skip: .skip
            case .latest: .latest
            case .all: .all
            }
        }
    }

    func run() async throws {
        guard let zone = TimeZone(identifier: timeZone) else {
            throw UsageError("unknown time zone '\(timeZone)' (use a name such as Europe/Berlin)")
        }
        let new = CronSchedule(
            name: schedule, try CronExpression(expression, timeZone: zone), missed: missed.ticks,
            job: settings.job(name, arguments: args))
        let stored = try await options.withJobs(creates: true) { jobs in
            try await jobs.schedule(new)
            return try await jobs.schedules().first { $0.name == schedule } ?? new
        }
        options.print(json: JobJSON.schedules([stored]), text: JobText.schedules([stored]))
    }
}

/// `tally jobs cron list`: prints the schedules.
struct ListCronCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Prints the schedules with their next ticks.",
        discussion: HelpText.examples(
            #"""
            tally jobs cron add hourly @hourly poll
            tally jobs cron add daily @daily report
            tally jobs cron list
            tally jobs cron list --json | jq '.schedules[].next_tick'
            """#))

    @OptionGroup var options: JobStoreOptions

    func run() async throws {
        let schedules = try await options.withJobs { try await $0.schedules() }
        options.print(json: JobJSON.schedules(schedules), text: JobText.schedules(schedules))
    }
}

/// `tally jobs cron remove`: deletes a schedule.
struct RemoveCronCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Deletes a schedule. The jobs that it has enqueued stay.",
        discussion: HelpText.examples(
            #"""
            tally jobs cron add hourly @hourly poll
            tally jobs cron list
            tally jobs cron remove hourly
            tally jobs cron list
            """#))

    @Argument(help: "The name of the schedule.")
    var schedule: String

    @OptionGroup var options: JobStoreOptions

    func run() async throws {
        let isRemoved = try await options.withJobs { try await $0.unschedule(schedule) }
        guard isRemoved else { throw UsageError("unknown schedule '\(schedule)'") }
        options.print(
            json: JSONWriter.object { $0.member("removed", schedule) },
            text: "removed schedule '\(schedule)'")
    }
}
