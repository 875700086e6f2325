import ArgumentParser
import BrokerCore
import Foundation
import NSQBroker
import NSQWire
import TallyBasics

/// `tally doctor`: checks, exports or imports a data path while no broker uses it.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks a data path, exports its messages, or imports the data path of an nsqd.",
        discussion: """
            Without --import the data path is only read. The exit status is 0 if it is healthy \
            (an incomplete record at the end is normal after a crash: it was never acknowledged), \
            1 if it is damaged, and 2 if it cannot be checked: there is no such folder, it has no \
            journal, or a broker uses it.

            --import reads the data path of an nsqd 1.x and writes another folder, which is created \
            if missing: topics and channels, whether they are paused, and their messages with \
            timestamps and attempts. Message IDs change, and a message that is queued in two \
            channels becomes two messages. After an interrupted import, empty the folder and \
            start again. A broker that is started in the data path of an nsqd imports it by itself.

            --export-nsqd writes a data path for an nsqd 1.x, with the same parts. The folder must \
            be empty or missing. Deferred messages are due at once.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --tcp-address=127.0.0.1:4150 --data-path=messages & sleep 1
                    tally produce --nsqd-tcp-address=127.0.0.1:4150 --plays=1000
                    kill $!; wait
                    tally doctor messages
                    tally doctor messages --json | jq .damages
                    tally doctor messages --export=plays | wc -l
                    tally doctor messages --export=plays --format=frames >plays
                    tally doctor messages --export-nsqd=nsqd-messages
                    tally doctor --import=nsqd-messages imported
                    """#))

    @Argument(help: "The data path of a broker.")
    var dataPath: String

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Print the messages of this topic that some channel has not finished, each once.",
            valueName: "topic"),
        transform: TopicName.init(flag:))
    var export: TopicName?

    @Option(
        help: "With --export: only messages that this channel has not finished.",
        transform: ChannelName.init(flag:))
    var channel: ChannelName?

    @Option(
        help: ArgumentHelp(
            "lines: one message per line, an error if a message contains a newline; frames: each "
                + "message after its size (4 bytes, big-endian), as in MPUB."))
    var format: DoctorExport.Format?

    @Option(
        name: .customLong("import"),
        help: ArgumentHelp(
            "Import this data path of a stopped nsqd into DATA-PATH.",
            valueName: "nsqd-data-path"))
    var source: String?

    @Option(
        name: .customLong("export-nsqd"),
        help: ArgumentHelp(
            "Write the unfinished messages to this folder as the data path of an nsqd.",
            valueName: "folder"))
    var nsqdFolder: String?

    func validate() throws {
        let modes = [
            ("--json", json), ("--export", export != nil), ("--export-nsqd", nsqdFolder != nil),
            ("--import", source != nil),
        ].filter(\.1).map(\.0)
        guard modes.count <= 1 else {
            throw ValidationError("\(modes[0]) and \(modes[1]) cannot be combined")
        }
        if let source, Self.folder(source) == Self.folder(dataPath) {
            throw ValidationError("--import cannot read and write the same folder")
        }
        if export == nil, channel != nil || format != nil {
            throw ValidationError("--channel and --format need --export")
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
                isHealthy = try check()
            }
        } catch {
            StandardError.print("Error: \(error)")
            throw ExitCode(2)
        }
        guard isHealthy else { throw ExitCode(1) }
    }

    private func check() throws -> Bool {
        let inspection = try JournalInspection(of: dataPath, at: .now)
        if let export {
            try DoctorExport(format: format ?? .lines).run(inspection, export, channel)
            for damage in inspection.report.damages { StandardError.print("\(damage)") }
        } else if let nsqdFolder {
            let report = try NSQDExport.run(inspection, into: nsqdFolder)
            for damage in inspection.report.damages { StandardError.print("\(damage)") }
            print(
                """
                exported \(counted(report.topics, "topic")), \(counted(report.channels, "channel")) \
                and \(counted(report.messages, "message")); start nsqd with
                nsqd --data-path=\(nsqdFolder)
                """)
        } else {
            let report = DoctorReport(dataPath, inspection)
            print(json ? try report.json : report.text)
        }
        return inspection.isHealthy
    }
}

extension Timestamp {
    /// The current time on the monotonic and the wall clock, as a broker's loop reads them.
    fileprivate static var now: Timestamp {
        func nanoseconds(_ clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        }
        return Timestamp(
            monotonic: nanoseconds(CLOCK_MONOTONIC), wall: nanoseconds(CLOCK_REALTIME))
    }
}
