import ArgumentParser

/// Where the binary starts. Called by the name `nsqd`, it is nsqd.
@main
struct Tally: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tally",
        abstract: "Counts video plays through an NSQ broker that it brings along.",
        subcommands: [NSQDCommand.self, BenchCommand.self])

    static func main() async {
        let name = CommandLine.arguments.first?.split(separator: "/").last
        if name == "nsqd" {
            await NSQDCommand.main()
        } else {
            await main(nil)
        }
    }
}
