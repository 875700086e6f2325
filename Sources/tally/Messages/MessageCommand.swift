import ArgumentParser
import NSQTools
import NSQWire
import TallyBasics

/// `tally message`: changes messages of a channel without receiving them.
struct MessageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "message",
        abstract:
            "Deletes, requeues, defers or moves messages of a channel without receiving them.",
        discussion: """
            The messages are given by their IDs, which tally peek shows, or by a filter. The number of \
            attempts does not rise. Only tally's nsqd can do this.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1
                    nsqd=http://127.0.0.1:4151
                    curl -X POST "$nsqd/topic/create?topic=plays"
                    curl -X POST "$nsqd/channel/create?topic=plays&channel=count"
                    tally pub plays 'one play' 'a test'
                    tally message delete plays count --contains=test --preview
                    tally message delete plays count --contains=test
                    tally message move plays count --all --to=plays.later
                    tally message operations
                    kill $!
                    """#),
        subcommands: [
            DeleteMessagesCommand.self, RequeueMessagesCommand.self, DeferMessagesCommand.self,
            MoveMessagesCommand.self, MessageOperationsCommand.self,
            CancelMessageOperationCommand.self,
        ])
}

/// `tally message delete`.
struct DeleteMessagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Deletes messages of a channel, as if a consumer had finished them.",
        discussion: HelpText.examples(
            #"""
            tally message delete plays count 18ca2b3c4d5e0007
            tally message delete plays count --contains=test --preview
            tally message delete plays count --contains=test
            tally message delete plays count --min-age=24h --state=ready
            """#))

    @OptionGroup var messages: ChangedMessages

    func run() async throws { try await messages.run("delete", "deleted") }
}

/// `tally message requeue`.
struct RequeueMessagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "requeue",
        abstract: "Makes messages deliverable now that are in flight or deferred.",
        discussion: HelpText.examples(
            #"""
            tally message requeue plays count 18ca2b3c4d5e0007
            tally message requeue plays count --state=deferred --preview
            tally message requeue plays count --state=deferred
            tally message requeue plays count --state=in_flight --min-age=1h
            """#))

    @OptionGroup var messages: ChangedMessages

    func run() async throws { try await messages.run("requeue", "requeued") }
}

/// `tally message defer`.
struct DeferMessagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "defer",
        abstract: "Defers messages of a channel from now on.",
        discussion: HelpText.examples(
            #"""
            tally message defer plays count 18ca2b3c4d5e0007 --by=5m
            tally message defer plays count --min-attempts=3 --by=10m --preview
            tally message defer plays count --min-attempts=3 --by=10m
            """#))

    @OptionGroup var messages: ChangedMessages

    @Option(
        help: "The delay, such as 10m; at most --max-req-timeout of the nsqd.",
        transform: GoDuration.init(flag:))
    var by: GoDuration

    func run() async throws {
        try await messages.run("defer", "deferred", ["defer": "\(by.duration.milliseconds)"])
    }
}

/// `tally message move`.
struct MoveMessagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract:
            "Publishes messages of a channel to another topic, and deletes them in the channel.",
        discussion: """
            The moved messages are new messages of the topic, which is created if it does not exist. If \
            the nsqd is killed meanwhile, a message may be in both, and is never lost.
            """
                + HelpText.examples(
                    #"""
                    tally message move plays count 18ca2b3c4d5e0007 --to=plays.later
                    tally message move plays count --min-attempts=5 --to=plays.later --preview
                    tally message move plays count --min-attempts=5 --to=plays.later
                    """#))

    @OptionGroup var messages: ChangedMessages

    @Option(help: "The topic.", transform: TopicName.init(flag:))
    var to: TopicName

    func run() async throws { try await messages.run("move", "moved", ["to": to.text]) }
}

/// `tally message operations`.
struct MessageOperationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operations",
        abstract:
            "Prints the changes by a filter that run in an nsqd, and the last ones that have ended.",
        discussion: HelpText.examples(
            #"""
            tally message operations
            tally message operations --nsqd-http-address=127.0.0.1:4151
            """#))

    @OptionGroup var broker: BrokerAddressOptions

    func run() async throws {
        let operations = try await broker.ask {
            try await $0.messageOperations(at: broker.nsqdHttpAddress)
        }
        guard !operations.isEmpty else { return print("no operations") }
        var rows = [
            ["OPERATION", "TOPIC", "CHANNEL", "ACTION", "STATE", "EXAMINED", "SELECTED", "CHANGED"]
        ]
        for operation in operations {
            rows.append([
                "\(operation.number)", operation.topic, operation.channel, operation.action,
                operation.error.map { "failed: \($0)" } ?? operation.state,
                "\(operation.examined)", "\(operation.selected)", "\(operation.changed)",
            ])
        }
        print(TextTable.lines(rows, leadingColumns: 5).joined(separator: "\n"))
    }
}

/// `tally message cancel`.
struct CancelMessageOperationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancels a change by a filter. What it has changed stays changed.",
        discussion: HelpText.examples(
            #"""
            tally message operations
            tally message cancel 1
            """#))

    @Argument(help: "The number of the operation.")
    var operation: Int

    @OptionGroup var broker: BrokerAddressOptions

    func validate() throws { try require("the operation", operation, in: 1...1_000_000_000) }

    func run() async throws {
        let ended = try await broker.ask {
            try await $0.cancelMessageOperation(operation, at: broker.nsqdHttpAddress)
        }
        print(
            "operation \(ended.number) is \(ended.state), \(ended.changed) of its messages changed")
    }
}
