import FoundationEssentials
import Glibc
import Logging
import NSQBroker
import TallyJSON
import UVLoop

/// Writes log lines to standard error, in nsqd's format or as JSON:
/// `[nsqd] 2026/01/31 12:00:00.000000 INFO: text`.
struct LineLog: LogHandler {
    private let format: LogFormat
    private let prefix: String
    private let sharedLevel: SharedLevel
    /// The level of this copy of the logger; `nil` if it uses the shared level.
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]

    /// The lowest level to log, shared by several loggers, so that one change affects all of them.
    typealias SharedLevel = LockedValue<Logger.Level>

    var logLevel: Logger.Level {
        get { ownLevel ?? sharedLevel.withLock { $0 } }
        set { ownLevel = newValue }
    }

    /// A logger whose lines begin with `[name]`.
    static func logger(
        _ name: String, _ level: LogLevel, _ format: LogFormat = .text
    ) -> Logger {
        var options = LogOptions(prefix: "[\(name)] ")
        options.level = level
        options.format = format
        return logger(options)
    }

    /// - Parameter level: a level to share with other loggers. By default, the logger has a level
    ///   of its own, which is set from the options.
    static func logger(_ options: LogOptions, sharing level: SharedLevel? = nil) -> Logger {
        let level = level ?? SharedLevel(options.level.level)
        return Logger(label: "nsqd") { _ in LineLog(options, level) }
    }

    private init(_ options: LogOptions, _ level: SharedLevel) {
        format = options.format
        prefix = options.prefix
        sharedLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        StandardError.print(
            Self.line(
                format, prefix, event.level, "\(event.message)", event.metadata ?? [:],
                microseconds: Int(Date.now.timeIntervalSince1970 * 1_000_000)))
    }

    /// Formats a line without its newline.
    ///
    /// - Parameter microseconds: the time since 1970.
    static func line(
        _ format: LogFormat, _ prefix: String, _ level: Logger.Level, _ message: String,
        _ metadata: Logger.Metadata, microseconds: Int
    ) -> String {
        switch format {
        case .text:
            var text = message
            for (key, value) in metadata { text += " \(key)=\(value)" }
            let start = "\(prefix)\(localTime(microseconds)) \(name(of: level)): "
            return start + LogText.sanitized(text)
        case .json:
            let bytes = JSONWriter.object { json in
                json.member("time", universalTime(microseconds))
                json.member("level", name(of: level).lowercased())
                // The prefix of the text format is `[nsqd] ` by default.
                json.member("program", prefix.filter { !"[] ".contains($0) })
                json.member("message", LogText.limited(message))
                for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                    json.member("metadata.\(key)", LogText.limited("\(value)"))
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private static func name(of level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "DEBUG"
        case .info, .notice: "INFO"
        case .warning: "WARNING"
        case .error: "ERROR"
        case .critical: "FATAL"
        }
    }

    /// The local time in the format of Go's log package.
    private static func localTime(_ microseconds: Int) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return text(of: parts, microseconds, separators: ("/", " "))
    }

    /// The time in UTC in the format of RFC 3339.
    private static func universalTime(_ microseconds: Int) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        return text(of: parts, microseconds, separators: ("-", "T")) + "Z"
    }

    private static func text(
        of parts: tm, _ microseconds: Int, separators: (day: String, time: String)
    ) -> String {
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let day = [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)]
        let time = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { padded(Int($0), 2) }
        return day.map { padded($0, 2) }.joined(separator: separators.day) + separators.time
            + time.joined(separator: ":") + "." + padded(microseconds % 1_000_000, 6)
    }
}
