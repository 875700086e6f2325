import ArgumentParser
import BrokerCore
import Foundation
import NSQBroker
import NSQWire

/// `tally doctor`: looks after a data path while no broker works with it.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks a data path, takes messages out of it, or moves one of nsqd's in.",
        discussion: """
            Without --import nothing is changed. The exit status is 0 if all is well (a record that \
            was cut short at the end is: nobody was told that it was written), 1 if something is \
            damaged, and 2 if nothing can be said: no such folder, no journal in it, or a broker \
            works with it.

            --import reads what nsqd 1.x keeps in its data path and fills another folder, which it \
            makes if need be: topics and channels, which of them are paused, and the messages of \
            each, with their timestamps and attempts. IDs are new; what stood in the queues of two \
            channels is two messages. Should it be killed, empty the folder and begin again.

            EXAMPLES
              tally doctor messages
              tally doctor messages --json | jq '.damages'
              tally doctor messages --export=orders | wc -l
              tally doctor messages --export=orders --format=frames >orders
              tally doctor --import=/var/lib/nsqd messages
            """)

    @Argument(help: "The folder that --data-path names.")
    var dataPath: String

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Print this topic's messages that are not finished by all channels, once each.",
            valueName: "topic"),
        transform: TopicName.init(flag:))
    var export: TopicName?

    @Option(
        help: "Only those that this channel has not finished.",
        transform: ChannelName.init(flag:))
    var channel: ChannelName?

    @Option(
        help: ArgumentHelp(
            "lines: a message a line; if one holds a newline, nothing is printed. frames: each with "
                + "its size before it (4 bytes, big-endian), as in MPUB."))
    var format: DoctorExport.Format?

    @Option(
        name: .customLong("import"),
        help: ArgumentHelp(
            "Fill the data path with what a real nsqd, which has been stopped, has left here.",
            valueName: "nsqd-data-path"))
    var source: String?

    func validate() throws {
        if json, export != nil || source != nil {
            throw ValidationError("--json is for the check alone")
        }
        if export != nil, source != nil {
            throw ValidationError("--export and --import are two things")
        }
        if let source, Self.folder(source) == Self.folder(dataPath) {
            throw ValidationError("--import fills another folder than it reads")
        }
        if export == nil, channel != nil || format != nil {
            throw ValidationError("--channel and --format go with --export")
        }
    }

    private static func folder(_ path: String) -> URL {
        URL(filePath: path, directoryHint: .isDirectory).resolvingSymlinksInPath()
    }

    func run() async throws {
        let isHealthy: Bool
        do {
            if let source {
                isHealthy = try await DoctorImport.run(from: source, into: dataPath)
            } else {
                isHealthy = try look()
            }
        } catch {
            StandardError.print("Error: \(error)")
            throw ExitCode(2)
        }
        guard isHealthy else { throw ExitCode(1) }
    }

    private func look() throws -> Bool {
        let inspection = try JournalInspection(of: dataPath, at: .present)
        if let export {
            try DoctorExport(format: format ?? .lines).run(inspection, export, channel)
            for damage in inspection.report.damages { StandardError.print("\(damage)") }
        } else {
            let report = DoctorReport(dataPath, inspection)
            print(json ? try report.json : report.text)
        }
        return inspection.isHealthy
    }
}

extension Moment {
    /// Now, as a broker's loop would tell.
    fileprivate static var present: Moment {
        func nanoseconds(_ clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        }
        return Moment(
            monotonic: nanoseconds(CLOCK_MONOTONIC), wall: nanoseconds(CLOCK_REALTIME))
    }
}
