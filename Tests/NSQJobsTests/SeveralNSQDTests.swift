import Logging
import NSQBroker
import NSQClient
import NSQJobs
import NSQJobsEmbedded
import NSQTesting
import TestKit
import TestTraits
import Testing

@Suite struct `Jobs with another nsqd than a single one` {
    @Test func `are performed with a broker in the same process`() async throws {
        let jobs = try await Jobs(store: .memory, nsqd: .embedded, configuration: quiet)
        #expect(jobs.nsqdAddresses.count == 1)
        try await withWorker(jobs.worker { $0.register(Numbered.self) }) {
            let id = try await jobs.enqueue(Numbered(number: 1)).id
            _ = try await jobs.wait(for: id, .completed)
        }
        let address = jobs.nsqdAddresses[0]
        await jobs.stop()
        // The embedded broker has stopped together with `jobs`, so its address is free again.
        var configuration = EmbeddedBroker.Configuration()
        configuration.tcpAddress = address
        let next = try await Jobs(
            store: .memory, nsqd: .embedded(configuration), configuration: quiet)
        await next.stop()
        configuration.tcpAddress = "256.0.0.1:0"
        let error = await #expect(throws: JobsError.self) {
            try await Jobs(store: .memory, nsqd: .embedded(configuration))
        }
        #expect(error?.code == .brokerFailed)
    }

    @Test func `are published again at once by a process that starts an empty nsqd`() async throws {
        let folder = try TemporaryFolder()
        let store = Jobs.Store.sqlite(folder.path("jobs.sqlite"))
        var configuration = quiet
        configuration.republishDelay = .seconds(3_600)
        let first = try await Jobs(store: store, nsqd: .embedded, configuration: configuration)
        let id = try await first.enqueue(Numbered(number: 1)).id
        // The broker of `first` stops with the message, which no other process has seen.
        await first.stop()
        let second = try await Jobs(store: store, nsqd: .embedded, configuration: configuration)
        try await withWorker(second.worker { $0.register(Numbered.self) }) {
            _ = try await second.wait(for: id, .completed)
        }
        await second.stop()
    }

    @Test func `are published to another nsqd when the one with their messages ends`()
        async throws
    {
        try await withCluster(brokers: 2, lookupds: 1) { cluster in
            var configuration = quiet
            configuration.sweepInterval = .seconds(60)
            configuration.republishDelay = .seconds(3_600)
            let jobs = try await Jobs(
                store: .memory, nsqds: cluster.addresses, configuration: configuration)
            let id = try await jobs.enqueue(Numbered(number: 1)).id
            // The producer publishes to the nsqd to which it has connected first.
            var holder: TestBroker?
            try await eventually("the job is published") {
                for node in cluster.nodes {
                    let topics = await node.statistics().topics
                    if topics.contains(where: { $0.name == "jobs.default.normal" && $0.depth > 0 })
                    {
                        holder = node
                    }
                }
                return holder != nil
            }
            await holder?.stop()
            try await withWorker(jobs.worker { $0.register(Numbered.self) }) {
                _ = try await jobs.wait(for: id, .completed)
            }
            await jobs.stop()
        }
    }

    @Test func `are taken from the nsqds that nsqlookupd reports`() async throws {
        try await withCluster(brokers: 2, lookupds: 1) { cluster in
            // The worker knows the second nsqd only, and the jobs are published to the first.
            let jobs = try await Jobs(
                store: .memory, nsqds: [cluster.addresses[0]], configuration: quiet)
            let id = try await jobs.enqueue(Numbered(number: 1)).id
            let other = try await Jobs(
                store: .memory, nsqds: [cluster.addresses[1]], configuration: quiet)
            var options = JobWorker.Options()
            options.lookupds = cluster.lookupdAddresses
            options.lookup.pollInterval = .milliseconds(20)
            let worker = other.worker(options) { $0.register(Numbered.self) }
            try await withWorker(worker) {
                let topic = "jobs.default.normal"
                // The worker's store does not know the job, so the worker finishes its message without
                // effect.
                try await eventually("the message of the first nsqd is finished") {
                    let channel = await cluster.nodes[0].channel("workers", of: topic)
                    return channel.map { $0.depth == 0 && $0.inFlightCount == 0 } ?? false
                }
            }
            #expect(try await jobs.status(of: id)?.state == .available)
            await jobs.stop()
            await other.stop()
        }
    }

    private var quiet: Jobs.Configuration {
        var configuration = Jobs.Configuration()
        configuration.logger.logLevel = .critical
        configuration.producer.client.maxReconnectDelay = .milliseconds(100)
        return configuration
    }
}
