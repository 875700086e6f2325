import ArgumentParser
import NSQTools
import NSQWire
import TallyBasics

/// The messages that a command changes: those with the given IDs, or those that a filter selects.
struct ChangedMessages: ParsableArguments {
    @Argument(help: "The topic.", transform: TopicName.init(flag:))
    var topic: TopicName

    @Argument(help: "The channel.", transform: ChannelName.init(flag:))
    var channel: ChannelName

    @Argument(help: "The IDs of the messages. Default: the messages that the filter selects.")
    var ids: [String] = []

    @Option(
        help:
            "Change a message with an ID only if it has this number of attempts. Default: that which the command reads first."
    )
    var attempts: Int?

    @OptionGroup var filter: MessageFilterOptions

    @Flag(help: "Change all messages of the channel.")
    var all = false

    @Flag(help: "Only count the messages that the filter selects.")
    var preview = false

    @OptionGroup var broker: BrokerAddressOptions

    func validate() throws {
        for id in ids where MessageID(text: id) == nil {
            throw ValidationError("invalid message ID '\(id)': it has 16 lower-case hex digits")
        }
        if let attempts { try require("--attempts", attempts, in: 0...65_535) }
        guard ids.isEmpty else {
            guard filter.isEmpty, !all, !preview else {
                throw ValidationError("IDs cannot be combined with a filter, --all or --preview")
            }
            return
        }
        guard attempts == nil else { throw ValidationError("--attempts needs a message ID") }
        guard filter.isEmpty == all else {
            throw ValidationError(
                all
                    ? "--all cannot be combined with a filter"
                    : "pass the IDs of messages, a filter such as --contains, or --all")
        }
    }

    /// Changes the messages, and prints their number.
    ///
    /// - Parameters:
    ///   - change: `delete`, `requeue`, `defer` or `move`.
    ///   - done: the participle of the change, such as `deleted`.
    ///   - changeArguments: the arguments that only this change needs in a request.
    func run(
        _ change: String, _ done: String, _ changeArguments: [String: String] = [:]
    ) async throws {
        var arguments = changeArguments
        arguments["topic"] = topic.text
        arguments["channel"] = channel.text
        try await broker.ask { [arguments] client in
            guard ids.isEmpty else {
                try await changeEach(change, arguments, client)
                return print("\(done) \(counted(ids.count, "message"))")
            }
            let operation = try await changeAll(change, arguments, client)
            guard operation.state == "finished" else {
                throw UsageError(
                    "operation \(operation.number) \(operation.state)"
                        + (operation.error.map { ": \($0)" } ?? "")
                        + " (\(done) \(counted(operation.changed, "message")) before)")
            }
            print(
                preview
                    ? "\(counted(operation.selected, "message")) of \(operation.messages) selected"
                    : "\(done) \(counted(operation.changed, "message"))")
        }
    }

    private func changeEach(
        _ change: String, _ arguments: [String: String], _ client: NSQDQueries
    ) async throws {
        let nsqd = broker.nsqdHttpAddress
        for id in ids {
            var arguments = arguments
            arguments["id"] = id
            let seen =
                if let attempts { attempts } else {
                    try await client.messages(
                        at: nsqd, topic: topic.text, channel: channel.text,
                        ["id": id, "body_bytes": "0"]
                    ).messages.first?.attempts ?? 0
                }
            arguments["attempts"] = "\(seen)"
            try await client.changeMessage(change, at: nsqd, arguments)
        }
    }

    private func changeAll(
        _ change: String, _ arguments: [String: String], _ client: NSQDQueries
    ) async throws -> MessageOperation {
        var arguments = arguments.merging(filter.arguments) { $1 }
        if preview { arguments["preview"] = "true" }
        let nsqd = broker.nsqdHttpAddress
        var operation = try await client.changeMessages(change, at: nsqd, arguments)
        var isAnnounced = false
        let start = ContinuousClock.now
        while operation.isRunning {
            try await Task.sleep(for: .milliseconds(50))
            let operations = try await client.messageOperations(at: nsqd)
            guard let current = operations.first(where: { $0.number == operation.number }) else {
                throw UsageError("operation \(operation.number) ended with the nsqd")
            }
            operation = current
            if !isAnnounced, ContinuousClock.now - start > .seconds(1) {
                isAnnounced = true
                StandardError.print(
                    "operation \(operation.number) runs in the nsqd, also without this command; "
                        + "cancel it with tally message cancel \(operation.number)")
            }
        }
        return operation
    }
}
