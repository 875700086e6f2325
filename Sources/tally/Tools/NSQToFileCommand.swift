import ArgumentParser
import Foundation
import GoFlags
import Logging
import NSQBroker
import NSQClient
import NSQTools
import UVLoop

/// `tally nsq_to_file`: writes the messages of topics to files.
struct NSQToFileCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsq_to_file",
        abstract: "Writes the messages of topics to files, with nsq_to_file's flags.")

    static let flags = FlagSet(name: "nsq_to_file", options: NSQToFileOptions.table)

    static let defaults = NSQToFileOptions()

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "mkdir archive",
        "tally nsq_to_file --nsqd-tcp-address=127.0.0.1:4150 --topic=plays \\",
        "    --output-dir=archive --sync-interval=1s & sleep 1",
        "curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'",
        "kill $!; wait $!",
        "cat archive/plays.*",
        "kill $(jobs -p)",
    ]

    static func version(_ options: NSQToFileOptions) -> String? {
        options.showsVersion ? versionLine : nil
    }

    static func run(_ parsed: FlagSet<NSQToFileOptions>.Parsed) async -> Int32 {
        let options = parsed.values
        FileModes.restoreInherited()
        let logger = LineLog.logger(options.log)
        return await status {
            guard parsed.rest.isEmpty else {
                throw ToolError("unknown arguments: [\(parsed.rest.joined(separator: " "))]")
            }
            try options.validate()
            try await ArchiveRun(options, logger).run()
        }
    }
}

/// One run of `nsq_to_file`: an archiver for each topic, and the discovery of topics.
private struct ArchiveRun {
    private let options: NSQToFileOptions
    private let logger: Logger
    private let archivers = LockedValue<[String: TopicArchiver]>([:])
    private let isStopping = LockedValue(false)
    /// A stream with an element at each time at which the list of topics is requested. ``stop()``
    /// ends the stream.
    private let refreshes: (times: AsyncStream<Void>, end: AsyncStream<Void>.Continuation)

    init(_ options: NSQToFileOptions, _ logger: Logger) {
        self.options = options
        self.logger = logger
        let (times, end) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingNewest(1))
        refreshes = (times, end)
    }

    /// Runs until a signal arrives, or a file cannot be written.
    func run() async throws {
        let signals = try await StopSignals.watch()
        let hangUps = try await RepeatedSignals.watch(SIGHUP) { reopen() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for topic in options.topics { try add(topic, to: &group) }
            group.addTask {
                if await signals.next() != nil { stop() }
            }
            if options.topics.isEmpty { try await discover(&group) }
            // The first error ends all archivers; `waitForAll` would wait for the others.
            while try await group.next() != nil {}
        }
        await hangUps.stop()
        await signals.stop()
    }

    /// Finishes all files. The next messages go to new files.
    private func reopen() {
        for archiver in archivers.withLock({ Array($0.values) }) { archiver.reopen() }
    }

    private func stop() {
        isStopping.withLock { $0 = true }
        refreshes.end.finish()
        for archiver in archivers.withLock({ Array($0.values) }) { archiver.stop() }
    }

    private func add(_ topic: String, to group: inout ThrowingTaskGroup<Void, any Error>) throws {
        guard archivers.withLock({ $0[topic] == nil }) else { return }
        let consumerOptions = try options.consumerOptions()
        let format = try FileNameFormat(
            options.files, topic: topic, hostname: System.hostname,
            processID: Int(ProcessInfo.processInfo.processIdentifier))
        let consumer = try Consumer(
            topic: topic, channel: options.channel, nsqds: options.addresses.nsqds,
            lookupds: options.addresses.lookupds, options: consumerOptions, logger: logger)
        let archiver = TopicArchiver(
            of: consumer, options.files, format, label: "\(topic)/\(options.channel)",
            maxInFlight: consumerOptions.maxInFlight, logger: logger)
        archivers.withLock { $0[topic] = archiver }
        let interval = options.syncInterval
        let isDirect = options.addresses.lookupds.isEmpty
        group.addTask {
            if isDirect { try await consumer.connected() }
            try await archiver.run(syncInterval: interval)
        }
        if isStopping.withLock({ $0 }) { archiver.stop() }
    }

    /// Until a signal arrives, adds all topics that are registered at nsqlookupds and match the
    /// pattern.
    private func discover(_ group: inout ThrowingTaskGroup<Void, any Error>) async throws {
        let client = try NSQDQueries(
            connectTimeout: options.connectTimeout, requestTimeout: options.requestTimeout)
        let pattern = try options.pattern()
        let timer = Task {
            repeat {
                refreshes.end.yield()
            } while (try? await Task.sleep(for: options.topicRefresh)) != nil
        }
        for await _ in refreshes.times {
            do throws(NSQDQueries.Failure) {
                for topic in try await client.topics(of: options.addresses.lookupds)
                where topic.contains(pattern) {
                    try? add(topic, to: &group)
                }
            } catch {
                logger.error("could not retrieve topic list: \(error)")
            }
        }
        timer.cancel()
        await client.stop()
    }
}
