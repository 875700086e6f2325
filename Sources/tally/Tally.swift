import ArgumentParser

/// Where the binary starts. Called by the name `nsqd`, it is nsqd.
@main
struct Tally: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tally",
        abstract: "Counts video plays through an NSQ broker that it brings along.",
        discussion: """
            EXAMPLES
              tally demo                                        all of it, and a verdict
              tally serve --store=counts.sqlite                 broker and processor
              tally nsqd --tcp-address=127.0.0.1:4150           the broker alone
              tally produce --nsqd-tcp-address=127.0.0.1:4150   plays for either
            """,
        subcommands: [
            DemoCommand.self, ServeCommand.self, NSQDCommand.self, ProduceCommand.self,
            ProcessCommand.self, BenchCommand.self,
        ])

    static func main() async {
        let name = CommandLine.arguments.first?.split(separator: "/").last
        let arguments = GoFlags.complete(Array(CommandLine.arguments.dropFirst()))
        if name == "nsqd" {
            await NSQDCommand.main(arguments)
        } else {
            await main(arguments)
        }
    }
}
