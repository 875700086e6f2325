import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs names`: prints the names of jobs.
struct JobNamesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "names",
        abstract: "Prints the names of the stored jobs, for completion.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs names
            tally jobs names --prefix=rep
            tally jobs names --json | jq .names
            """#))

    @Option(help: "Print only names that begin with this text.")
    var prefix = ""

    @Option(help: "The maximum number of names to print.")
    var limit = 100

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        try require("--limit", limit, in: 1...1_000)
    }

    func run() async throws {
        let names = try await options.withJobs {
            try await $0.names(withPrefix: prefix, limit: limit)
        }
        options.print(
            json: JSONWriter.object { $0.member("names", names) },
            text: names.map { LogText.sanitized($0) }.joined(separator: "\n"))
    }
}
