import BrokerCore
import GoFlags
import TallyBasics
import TallyJSON
import Transport

extension LogLevel: OptionValue {
    package static var noun: String { "a log level" }

    package mutating func parse(_ text: String) throws(BadValue) {
        guard let level = LogLevel(text: text) else {
            throw BadValue("invalid log level '\(text)' (debug, info, warn, error, fatal)")
        }
        self = level
    }

    package var helpText: String? { rawValue }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(number)) }
}

extension LogFormat: OptionValue {
    package static var noun: String { "text or json" }

    package mutating func parse(_ text: String) throws(BadValue) {
        guard let format = LogFormat(rawValue: text) else { throw BadValue("not \(Self.noun)") }
        self = format
    }

    package var helpText: String? { rawValue }
    package var configResponse: ConfigResponse { .text(rawValue) }
}

extension FlagOption {
    /// The option `--log-format` of a program.
    package static func logFormat(
        _ path: any WritableKeyPath<Options, LogFormat> & Sendable
    ) -> Self {
        Self(
            "log-format", path, "format of the log: text or json, with one object a line",
            isOwn: true)
    }
}

extension TLSRequirement: OptionValue {
    package static var isBoolean: Bool { true }
    package static var typeName: String { "" }
    package static var noun: String { "true, false or tcp-https" }

    package mutating func parse(_ text: String) throws(BadValue) {
        if text.lowercased() == "tcp-https" {
            self = .exceptHTTP
        } else {
            guard let isRequired = GoText.bool(text.lowercased()) else { throw .malformed }
            self = isRequired ? .everywhere : .nowhere
        }
    }

    package mutating func set(native value: ConfigValue) -> Bool {
        guard case .boolean(let isRequired) = value else { return false }
        self = isRequired ? .everywhere : .nowhere
        return true
    }

    package var helpText: String? { nil }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(rawValue)) }
}

extension TLSVersion: OptionValue {
    package static var noun: String { "a TLS version" }

    package mutating func parse(_ text: String) throws(BadValue) {
        // nsqd's example configuration file contains an empty value.
        guard !text.isEmpty else { return }
        guard let version = TLSVersion(rawValue: text.lowercased()) else {
            throw BadValue("unknown TLS version '\(text)' (tls1.0, tls1.1, tls1.2, tls1.3)")
        }
        self = version
    }

    package var helpText: String? { rawValue }
    /// The version's number in the TLS protocol: 0x0301 for 1.0.
    package var configResponse: ConfigResponse {
        .json(JSONWriter.value(0x0301 + Self.allCases.firstIndex(of: self)!))
    }
}

extension SyncPolicy: OptionValue {
    package static var noun: String { "write or always" }

    package mutating func parse(_ text: String) throws(BadValue) {
        guard let policy = SyncPolicy(rawValue: text) else { throw BadValue("not \(Self.noun)") }
        self = policy
    }

    package var helpText: String? { rawValue }
    package var configResponse: ConfigResponse { .text(rawValue) }
}
