import GoFlags
import NSQClient
import NSQTools

/// The options of `tally nsq_to_http`.
struct NSQToHTTPOptions: Sendable {
    var addresses = ToolAddresses()
    var topic = ""
    var channel = "nsq_to_http"
    var maxInFlight = 200
    var publisherCount = 100
    var mode = "hostpool"
    var sample = 1.0
    var connectTimeout = Duration.seconds(2)
    var requestTimeout = Duration.seconds(20)
    var statusEvery = 250
    var contentType = NSQToHTTPOptions.defaultContentType
    var gets: [String] = []
    var posts: [String] = []
    var headers: [String] = []
    var settings = GoNSQOptions()
    var showsVersion = false

    private static let defaultContentType = "application/octet-stream"

    /// Every option, sorted by its flag.
    static let table: [FlagOption<NSQToHTTPOptions>] = [
        FlagOption("channel", \.channel, "channel to consume"),
        FlagOption(
            "consumer-opt", \.settings,
            "option of the consumer under its name in go-nsq: name,value; repeatable"),
        FlagOption("content-type", \.contentType, "content type of POST requests"),
        FlagOption(
            "get", \.gets,
            "URL of GET requests, in which %s is replaced by the message; repeatable"),
        FlagOption(
            "header", \.headers, "header field of each request: name:value; repeatable"),
        FlagOption(
            "http-client-connect-timeout", \.connectTimeout, "connect timeout of requests"),
        FlagOption("http-client-request-timeout", \.requestTimeout, "timeout of requests"),
        FlagOption(
            "lookupd-http-address", \.addresses.lookupds,
            "HTTP address of an nsqlookupd; repeatable"),
        FlagOption("max-in-flight", \.maxInFlight, "maximum number of messages in flight"),
        FlagOption(
            "mode", \.mode,
            """
            selection of a URL: round-robin; hostpool, which leaves out those that fail; \
            epsilon-greedy, which prefers fast ones
            """),
        FlagOption("n", \.publisherCount, "maximum number of requests at the same time"),
        FlagOption("nsqd-tcp-address", \.addresses.nsqds, "TCP address of an nsqd; repeatable"),
        FlagOption(
            "post", \.posts, "URL of POST requests, whose body is the message; repeatable"),
        FlagOption("sample", \.sample, "part of the messages that is sent, 0 to 1"),
        FlagOption("status-every", \.statusEvery, "ignored"),
        FlagOption("topic", \.topic, "topic to consume"),
        FlagOption("version", \.showsVersion, "print the version and exit"),
    ]

    var endpoints: [String] { posts.isEmpty ? gets : posts }

    var method: HTTPForwarder.Method {
        posts.isEmpty ? .get : .post(contentType: contentType)
    }

    /// As in NSQ's program, an unknown mode sends each message to every URL.
    var distribution: HTTPForwarder.Distribution {
        switch mode {
        case "round-robin": .one(.roundRobin)
        case "hostpool": .one(.respondingHosts)
        case "epsilon-greedy": .one(.epsilonGreedy)
        default: .all
        }
    }

    /// Checks the options.
    ///
    /// - Throws: `ToolError` with the message that NSQ's program prints.
    func validate() throws(ToolError) {
        _ = try headerFields()
        guard !topic.isEmpty, !channel.isEmpty else {
            throw ToolError("--topic and --channel are required")
        }
        if contentType != Self.defaultContentType {
            guard !posts.isEmpty else { throw ToolError("--content-type only used with --post") }
            guard !contentType.isEmpty else {
                throw ToolError("--content-type requires a value when used")
            }
        }
        try addresses.validate(nsqdFlag: "--nsqd-tcp-address")
        guard !endpoints.isEmpty else { throw ToolError("--get or --post required") }
        guard gets.isEmpty || posts.isEmpty else { throw ToolError("use --get or --post not both") }
        guard gets.allSatisfy({ $0.ranges(of: "%s").count == 1 }) else {
            throw ToolError("invalid GET address - must be a printf string")
        }
        guard (0...1).contains(sample) else {
            throw ToolError("ERROR: --sample must be between 0.0 and 1.0")
        }
        guard connectTimeout > .zero, requestTimeout > .zero else {
            throw ToolError("the timeouts of requests should be positive")
        }
    }

    /// Returns the header fields of each request.
    func headerFields() throws(ToolError) -> [(name: String, value: String)] {
        var fields = [(name: "User-Agent", value: "nsq_to_http v\(nsqVersion)")]
        for text in headers {
            let parts = text.split(separator: ":", maxSplits: 1).map(Self.trimmed)
            guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }),
                !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
            else { throw ToolError("--header value format should be 'key=value'") }
            fields.removeAll { $0.name.lowercased() == parts[0].lowercased() }
            fields.append((parts[0], parts[1]))
        }
        return fields
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }

    func consumerOptions() throws(NSQError) -> Consumer.Options {
        var options = try settings.consumerOptions(maxInFlight: maxInFlight)
        if settings.client.userAgent == ClientOptions().userAgent {
            options.client.userAgent = "nsq_to_http/\(nsqVersion)"
        }
        return options
    }
}
