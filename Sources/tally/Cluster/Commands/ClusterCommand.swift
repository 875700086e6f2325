import ArgumentParser

/// `tally cluster`: a local cluster of nsqds and nsqlookupds.
struct ClusterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Runs several nsqds and nsqlookupds on this machine, for tests of clients.",
        discussion: """
            All nodes run in one process, at 127.0.0.1. While it runs, single nodes can be stopped \
            and started again at their addresses: by lines on standard input, such as stop nsqd-2, \
            or by the subcommands from another terminal.
            """
                + HelpText.examples(
                    #"""
                    tally cluster --nsqd=3 --lookupd=2 < /dev/null & sleep 1
                    tally cluster list
                    tally cluster stop nsqd-2
                    tally cluster start nsqd-2
                    kill $!
                    """#),
        subcommands: [
            RunClusterCommand.self, ListClusterCommand.self, StopNodeCommand.self,
            StartNodeCommand.self, RestartNodeCommand.self,
        ],
        defaultSubcommand: RunClusterCommand.self)
}
