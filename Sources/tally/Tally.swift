import ArgumentParser
import Glibc
import NSQBroker

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
              tally counts --store=counts.sqlite                what was counted
              tally doctor messages                             what a data path holds
            """,
        subcommands: [
            DemoCommand.self, ServeCommand.self, NSQDCommand.self, ProduceCommand.self,
            ProcessCommand.self, CountsCommand.self, DoctorCommand.self, BenchCommand.self,
        ])

    static func main() async {
        FileLimit.raise()
        LargeBlocks.standApart()
        let status: Int32
        if let arguments = argumentsOfNSQD(CommandLine.arguments) {
            status = await NSQDCommand.status(of: arguments)
        } else {
            status = await statusOfRun()
        }
        // Not `exit`: it would take the C libraries down under threads that still use them.
        fflush(nil)
        _exit(status)
    }

    /// What nsqd is called with, if it is nsqd that is called: the binary by that name, or our
    /// subcommand, or help for it.
    static func argumentsOfNSQD(_ words: [String]) -> [String]? {
        if words.first?.split(separator: "/").last == "nsqd" { return Array(words.dropFirst()) }
        let command = words.dropFirst()
        if command.first == "nsqd" { return Array(command.dropFirst()) }
        return command.elementsEqual(["help", "nsqd"]) ? ["--help"] : nil
    }
}

extension AsyncParsableCommand {
    /// Parses the command line and runs what it names; says what went wrong.
    ///
    /// - Returns: the exit status.
    static func statusOfRun() async -> Int32 {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return 0
        } catch {
            let code = exitCode(for: error)
            let message = fullMessage(for: error)
            if code == .success {
                print(message)
            } else if !message.isEmpty {
                StandardError.print(message)
            }
            return code.rawValue
        }
    }
}
