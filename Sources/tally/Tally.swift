import ArgumentParser
import BrokerCore
import Glibc
import NSQBroker
import TallyBasics
import UVLoop

/// The entry point of the executable. If the binary has the name of one of NSQ's programs, such as
/// `nsqd`, it runs that program.
@main
struct Tally: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tally",
        abstract: "Counts video plays that arrive through NSQ, and includes an NSQ broker.",
        discussion: """
            Version \(TallyVersion.current), compatible with nsqd \(nsqdVersion).
            """
                + HelpText.examples(
                    #"""
                    tally demo                                                  # check the rules
                    tally serve --store=counts.sqlite & sleep 1                 # run everything
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=999 # publish
                    tally counts --store=counts.sqlite --top=10                 # print counts
                    kill $!
                    """#),
        version: "tally \(TallyVersion.current)\ncompatible with nsqd \(nsqdVersion)",
        subcommands: [
            DemoCommand.self, ServeCommand.self, NSQDCommand.self, NSQLookupdCommand.self,
            NSQAdminCommand.self,
            ProduceCommand.self, ProcessCommand.self, CountsCommand.self, JobsCommand.self,
            DoctorCommand.self, BenchCommand.self, TailCommand.self, PubCommand.self,
            StatCommand.self, PeekCommand.self, MessageCommand.self, HealthCommand.self,
            DrainCommand.self, FailedCommand.self, ClusterCommand.self,
            NSQTailCommand.self, ToNSQCommand.self, NSQStatCommand.self,
            NSQToFileCommand.self, NSQToNSQCommand.self, NSQToHTTPCommand.self, ManualCommand.self,
        ])

    private static let nsqdVersion = BrokerOptions().version

    static func main() async {
        // Messages and counts are private, so all files are created with mode 0600 and all folders
        // with 0700.
        FileModes.makePrivate()
        StandardDescriptors.occupy()
        StopSignals.ignoreSignalsThatGoIgnores()
        // This line must precede the first thread, because it changes the environment.
        _ = ServiceManager.current
        DescriptorLimit.raise()
        requireFileDescriptors()
        AllocatorSettings.apply()
        HeapTrim.start()
        let status: Int32
        if let call = NSQPrograms.call(CommandLine.arguments) {
            status = await call.program.status(of: call.arguments, name: call.name)
        } else {
            status = await runAndReturnStatus()
        }
        let finalStatus = StandardOutput.reportFailure(endingWith: status)
        // `exit` is not used, because it would tear down the C libraries while other threads still
        // use them.
        StandardError.flush()
        _exit(finalStatus)
    }

    /// Ends the process with an error if its limit of file descriptors is too low. The check
    /// precedes the first thread, because the runtime crashes if it cannot open the descriptors of
    /// a thread.
    private static func requireFileDescriptors() {
        guard DescriptorLimit.current < DescriptorLimit.minimum else { return }
        let text =
            "Error: at least \(DescriptorLimit.minimum) file descriptors are needed, and the limit is "
            + "\(DescriptorLimit.current) (raise it with ulimit -n)\n"
        _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
        _exit(1)
    }
}

extension Tally {
    /// Parses the command line, runs the command, and prints errors.
    ///
    /// - Returns: the exit status.
    private static func runAndReturnStatus() async -> Int32 {
        do {
            let words = Array(CommandLine.arguments.dropFirst())
            if let shell = CompletionScript.shell(in: words) {
                print(CompletionScript.text(for: shell))
                return 0
            }
            var command = try parsed(words)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return 0
        } catch {
            HelpText.limitColumns()
            let code = exitCode(for: error)
            let message = HelpText.printed(fullMessage(for: error, ))
            if code == .success {
                print(message)
            } else if !message.isEmpty {
                StandardError.print(message)
            }
            return code.rawValue
        }
    }
}
