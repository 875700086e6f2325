import ArgumentParser

@main
struct Tally: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tally",
        abstract: "Counts video plays through an NSQ broker that it brings along.",
        subcommands: [NSQDCommand.self, BenchCommand.self])
}
