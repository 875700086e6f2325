import Logging

/// nsqd's log levels.
package enum LogLevel: String, Sendable, CaseIterable {
    case debug, info, warn, error, fatal

    /// Any case will do.
    package init?(text: String) { self.init(rawValue: text.lowercased()) }

    package var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        case .fatal: .critical
        }
    }

    /// As `/config/log_level` has it.
    var number: Int { Self.allCases.firstIndex(of: self)! + 1 }
}
