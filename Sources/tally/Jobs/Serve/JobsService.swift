import LivePage
import Logging
import NSQClient
import NSQJobs
import UVLoop

/// A job store with a relay (which publishes jobs to nsqd), the page and the HTTP API.
struct JobsService {
    /// The settings of a service.
    struct Settings {
        /// The SQLite file with the jobs.
        var store: String
        /// The address of the HTTP API; `nil` for none.
        var apiAddress: SocketAddress?
        /// Host names that the API accepts, besides `localhost` and numeric addresses.
        var apiHosts: [String] = []
        /// The maximum time until the relay publishes a job that another process has stored.
        var sweepInterval = Duration.milliseconds(100)
        /// The time after which a published job is published again if no worker has started it.
        var republishDelay = Duration.seconds(15)
        /// The rules by which ended jobs are deleted.
        var pruning = JobPruning()
        /// The options of the connection to the nsqd.
        var client: ClientOptions
    }

    private let jobs: Jobs
    let page: JobsMonitor

    /// Opens the store, and starts the relay and the API.
    ///
    /// - Parameters:
    ///   - nsqd: the address of the nsqd to which jobs are published.
    ///   - nsqdStartsEmpty: `true` if the nsqd has kept no messages of an earlier run.
    /// - Throws: `UsageError` if the API cannot listen, or an error of the store.
    static func start(
        _ settings: Settings, nsqd: SocketAddress, nsqdStartsEmpty: Bool, _ logger: Logger
    ) async throws -> JobsService {
        var configuration = Jobs.Configuration()
        configuration.sweepInterval = settings.sweepInterval
        configuration.republishDelay = settings.republishDelay
        configuration.nsqdStartsEmpty = nsqdStartsEmpty
        configuration.pruning = settings.pruning
        configuration.logger = logger
        configuration.producer.client = settings.client
        let jobs = try await Jobs(
            store: .sqlite(settings.store), nsqd: nsqd.description, configuration: configuration)
        let service = JobsService(jobs: jobs, page: JobsMonitor(jobs))
        guard let address = settings.apiAddress else { return service }
        do {
            let bound = try await service.page.serve(at: address, names: settings.apiHosts)
            logger.info("the jobs are shown at http://\(bound)/jobs")
            logger.info("the API of the jobs is at http://\(bound)/api/jobs")
            return service
        } catch {
            await service.stop()
            throw UsageError(
                "cannot start the API of the jobs at \(address): \(error) (pass another "
                    + "--api-address)")
        }
    }

    /// Responds to the requests in progress, publishes the stored jobs that are due, and closes the
    /// store.
    func stop() async {
        await page.stop(reason: "tally was stopped")
        await jobs.stop()
    }
}
