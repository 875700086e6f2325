import Logging

/// The format of log lines: nsqd's text, or JSON.
package enum LogFormat: String, Sendable, CaseIterable {
    case text, json
}

/// The log levels of nsqd, with the names that `--log-level` accepts.
package enum LogLevel: String, Sendable, CaseIterable {
    case debug, info, warn, error, fatal

    /// Parses a level, in upper or lower case.
    package init?(text: String) { self.init(rawValue: text.lowercased()) }

    /// The corresponding level of swift-log.
    package var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        case .fatal: .critical
        }
    }

    /// The number that `/config/log_level` returns: 1 for debug to 5 for fatal.
    var number: Int { Self.allCases.firstIndex(of: self)! + 1 }
}
