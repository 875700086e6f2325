import FoundationEssentials
import Glibc
import Logging
import NSQBroker

/// Writes log lines in nsqd's format to standard error: `[nsqd] 2026/01/31 12:00:00.000000 INFO:
/// text`.
struct LineLog: LogHandler {
    let prefix: String
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

    /// A logger whose lines begin with `[name]`.
    static func logger(_ name: String, _ level: LogLevel) -> Logger {
        logger(prefix: "[\(name)] ", level)
    }

    static func logger(prefix: String, _ level: LogLevel) -> Logger {
        Logger(label: "nsqd") { _ in LineLog(prefix: prefix, logLevel: level.level) }
    }

    init(prefix: String, logLevel: Logger.Level) {
        self.prefix = prefix
        self.logLevel = logLevel
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var text = "\(event.message)"
        for (key, value) in event.metadata ?? [:] { text += " \(key)=\(value)" }
        let start = "\(prefix)\(Self.timestamp()) \(Self.name(of: event.level)): "
        StandardError.print(start + LogText.sanitized(text))
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
    private static func timestamp() -> String {
        let microseconds = Int(Date.now.timeIntervalSince1970 * 1_000_000)
        var seconds = time_t(microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        let micro = String(microseconds % 1_000_000)
        return "\(parts.tm_year + 1900)/\(two(parts.tm_mon + 1))/\(two(parts.tm_mday)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))."
            + String(repeating: "0", count: 6 - micro.count) + micro
    }
}
