import GoFlags
import NSQBroker
import NSQClient
import NSQTools

/// The options of `tally nsq_to_file`.
struct NSQToFileOptions: Sendable {
    var addresses = ToolAddresses()
    var topics: [String] = []
    var topicPattern = ""
    var topicRefresh = Duration.seconds(60)
    var channel = "nsq_to_file"
    var maxInFlight = 200
    var settings = GoNSQOptions()
    var connectTimeout = Duration.seconds(2)
    var requestTimeout = Duration.seconds(5)
    var log = LogOptions(prefix: "[nsq_to_file] ")
    var files = FileOptions()
    var compresses: Bool {
        get { files.gzipLevel != nil }
        set { files.gzipLevel = newValue ? gzipLevel : nil }
    }
    /// The value of `--gzip-level`, which has an effect only together with `--gzip`.
    var gzipLevel = 6 {
        didSet { if compresses { files.gzipLevel = gzipLevel } }
    }
    var syncInterval = Duration.seconds(30)
    var showsVersion = false

    /// Every option, sorted by its flag.
    static let table: [FlagOption<NSQToFileOptions>] = (clientFlags + fileFlags)
        .sorted { $0.flag < $1.flag }

    private static let clientFlags: [FlagOption<NSQToFileOptions>] = [
        FlagOption("channel", \.channel, "channel to consume"),
        FlagOption(
            "consumer-opt", \.settings,
            "option of the consumers under its name in go-nsq: name,value; repeatable"),
        FlagOption(
            "http-client-connect-timeout", \.connectTimeout,
            "connect timeout of requests for the list of topics"),
        FlagOption(
            "http-client-request-timeout", \.requestTimeout,
            "timeout of requests for the list of topics"),
        FlagOption(
            "log-level", \.log.level, "lowest level to log: debug, info, warn, error or fatal"),
        .logFormat(\.log.format),
        FlagOption("log-prefix", \.log.prefix, "prefix of each log line"),
        FlagOption(
            "lookupd-http-address", \.addresses.lookupds,
            "HTTP address of an nsqlookupd; repeatable"),
        FlagOption(
            "max-in-flight", \.maxInFlight,
            "maximum number of messages in flight per topic, and between two syncs"),
        FlagOption("nsqd-tcp-address", \.addresses.nsqds, "TCP address of an nsqd; repeatable"),
        FlagOption("topic", \.topics, "topic to consume; repeatable"),
        FlagOption(
            "topic-pattern", \.topicPattern,
            "regular expression that the names of discovered topics must match"),
        FlagOption(
            "topic-refresh", \.topicRefresh, "time between two requests for the list of topics"),
        FlagOption("version", \.showsVersion, "print the version and exit"),
    ]

    private static let fileFlags: [FlagOption<NSQToFileOptions>] = [
        FlagOption(
            "datetime-format", \.files.dateFormat,
            "format of <DATETIME> in file names, as for strftime"),
        FlagOption(
            "filename-format", \.files.fileNameFormat,
            """
            format of file names, in which <TOPIC>, <HOST>, <PID>, <DATETIME> and <REV> are \
            replaced; <REV> is the number of a file that would have the name of another one
            """),
        FlagOption("gzip", \.compresses, "compress files with gzip"),
        FlagOption("gzip-level", \.gzipLevel, "compression level, 1 (fastest) to 9 (smallest)"),
        FlagOption(
            "host-identifier", \.files.hostIdentifier,
            """
            text for <HOST> in file names, in which <SHORT_HOST> and <HOSTNAME> are replaced; the \
            short host name by default
            """),
        FlagOption("output-dir", \.files.outputFolder, "folder of finished files"),
        FlagOption(
            "rotate-interval", \.files.rotateInterval,
            "age after which a file is finished; 0 for no limit"),
        FlagOption(
            "rotate-size", \.files.rotateSize,
            "size in bytes after which a file is finished; 0 for no limit"),
        FlagOption(
            "skip-empty-files", \.files.skipsEmptyFiles, "create files only for messages"),
        FlagOption(
            "sync-interval", \.syncInterval,
            "maximum time until a message is synced to the disk and finished"),
        FlagOption(
            "work-dir", \.files.workFolder,
            "folder of files in progress; that of --output-dir by default"),
    ]

    /// Checks the options.
    ///
    /// - Throws: `ToolError` with the message that NSQ's program prints.
    func validate() throws(ToolError) {
        guard !channel.isEmpty else { throw ToolError("--channel is required") }
        for (name, duration) in [
            ("http-client-connect-timeout", connectTimeout),
            ("http-client-request-timeout", requestTimeout), ("sync-interval", syncInterval),
            ("topic-refresh", topicRefresh),
        ] where duration <= .zero {
            throw ToolError("--\(name) should be positive")
        }
        try addresses.validate(nsqdFlag: "--nsqd-tcp-address")
        guard (1...9).contains(gzipLevel) else {
            throw ToolError("invalid --gzip-level value (\(gzipLevel)), should be 1-9")
        }
        guard !topics.isEmpty || !topicPattern.isEmpty else {
            throw ToolError("--topic or --topic-pattern required")
        }
        guard !topics.isEmpty || !addresses.lookupds.isEmpty else {
            throw ToolError("--lookupd-http-address must be specified when no --topic specified")
        }
        _ = try pattern()
    }

    /// Returns the pattern of topics.
    func pattern() throws(ToolError) -> Regex<AnyRegexOutput> {
        do {
            return try Regex(topicPattern)
        } catch {
            throw ToolError("--topic-pattern is not a regular expression: \(error)")
        }
    }

    /// Returns the options of the consumers.
    func consumerOptions() throws(NSQError) -> Consumer.Options {
        var options = try settings.consumerOptions(maxInFlight: maxInFlight)
        if settings.client.userAgent == ClientOptions().userAgent {
            options.client.userAgent = "nsq_to_file/\(nsqVersion)"
        }
        return options
    }
}
