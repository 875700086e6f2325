import ArgumentParser
import Logging

/// nsqd's log levels.
enum LogLevel: String, ExpressibleByArgument, CaseIterable {
    case debug, info, warn, error, fatal

    init?(argument: String) { self.init(rawValue: argument.lowercased()) }

    var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        case .fatal: .critical
        }
    }
}
