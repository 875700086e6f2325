import ArgumentParser
import NSQBroker

/// Where messages are kept, and how well: nsqd's flags, and two of our own.
struct DataPathFlags: ParsableArguments {
    @Option(
        help: """
            A folder to keep topics, channels and messages in. Without one they are in memory only.
            """)
    var dataPath: String?

    @Option(help: "Messages after which the disk is synced, without being waited for.")
    var syncEvery = 2500

    @Option(help: "How long what was written may stay unsynced.")
    var syncTimeout = GoDuration(argument: "2s")!

    @Option(help: "How long a file in the data path becomes, in bytes.")
    var maxBytesPerFile = 100 << 20

    @Option(
        help: """
            (tally's own) When a publish is answered: write, once it is with the system, so that it \
            outlives the broker; always, once it is synced, so that it outlives a power cut.
            """)
    var sync = Sync.write

    @Option(help: "(tally's own) What the data path may take, in bytes; 0 is no bound.")
    var maxDiskBytes = 0

    enum Sync: String, ExpressibleByArgument, CaseIterable {
        case write, always
    }

    var options: DataPathOptions? {
        guard let dataPath else { return nil }
        var options = DataPathOptions(path: dataPath)
        options.journal.syncEvery = syncEvery
        options.journal.maxBytesPerFile = maxBytesPerFile
        options.journal.maxDiskBytes = maxDiskBytes
        options.journal.answersAfterSync = sync == .always
        options.syncTimeout = syncTimeout.duration
        return options
    }

    func validate() throws {
        guard syncEvery >= 1 else { throw ValidationError("--sync-every is at least 1") }
        guard (1 << 10...1 << 30).contains(maxBytesPerFile) else {
            throw ValidationError("--max-bytes-per-file is 1024 to 1073741824")
        }
    }
}
