import BrokerCore
import TallyBasics
import TallyJSON

/// A type of option values, which can be parsed and formatted.
protocol OptionValue: Sendable {
    /// The name of the type in the help, as in Go.
    static var typeName: String { get }
    /// `true` if the flag needs no value.
    static var isBoolean: Bool { get }
    /// `true` if the flag can be given several times.
    static var isList: Bool { get }
    /// The text for an expected value in error messages, for example "a number".
    static var noun: String { get }

    /// Replaces the value with the parsed value of a flag.
    mutating func parse(_ text: String) throws(BadValue)
    /// Replaces the value with a value of a configuration file that is not a text.
    ///
    /// - Returns: `false` if the option does not accept this type of value.
    mutating func set(native value: ConfigValue) throws(BadValue) -> Bool

    /// The value as the help shows a default; `nil` for an empty value, as in Go.
    var helpText: String? { get }
    /// The value as `/config/…` returns it.
    var configResponse: ConfigResponse { get }
}

/// The body of a response of `/config/…`.
enum ConfigResponse {
    case text(String)
    case json([UInt8])
}

extension OptionValue {
    static var isBoolean: Bool { false }
    static var isList: Bool { false }
    static var typeName: String { "value" }

    /// Replaces the value with a value of a configuration file.
    mutating func set(_ value: ConfigValue) throws(BadValue) {
        if try set(native: value) { return }
        guard case .text(let text) = value else { throw BadValue("not \(Self.noun)") }
        try parse(text)
    }

    mutating func set(native value: ConfigValue) throws(BadValue) -> Bool { false }
}

extension String: OptionValue {
    static var typeName: String { "string" }
    static var noun: String { "a text" }
    mutating func parse(_ text: String) { self = text }
    var helpText: String? { isEmpty ? nil : "\"\(self)\"" }
    var configResponse: ConfigResponse { .text(self) }
}

extension Int: OptionValue {
    static var typeName: String { "int" }
    static var noun: String { "an integer" }

    mutating func parse(_ text: String) throws(BadValue) { self = try GoText.integer(text) }

    mutating func set(native value: ConfigValue) -> Bool {
        guard case .integer(let number) = value else { return false }
        self = number
        return true
    }

    var helpText: String? { self == 0 ? nil : String(self) }
    var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension Bool: OptionValue {
    static var isBoolean: Bool { true }
    static var typeName: String { "" }
    static var noun: String { "true or false" }

    mutating func parse(_ text: String) throws(BadValue) {
        guard let value = GoText.bool(text) else { throw .malformed }
        self = value
    }

    /// Accepts the number 1 as true. nsqd treats it as false here, which is an error.
    mutating func set(native value: ConfigValue) -> Bool {
        switch value {
        case .boolean(let value): self = value
        case .integer(0): self = false
        case .integer(1): self = true
        default: return false
        }
        return true
    }

    var helpText: String? { self ? "true" : nil }
    var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension Duration: OptionValue {
    static var typeName: String { "duration" }
    static var noun: String { "a duration like \"60s\"" }

    mutating func parse(_ text: String) throws(BadValue) {
        guard let duration = Duration(goText: text) else {
            throw BadValue(
                BadValue.malformed.description, remedy: Duration.remedy(forGoText: text))
        }
        self = duration
    }

    /// Accepts an integer as a number of milliseconds.
    mutating func set(native value: ConfigValue) -> Bool {
        guard case .integer(let number) = value else { return false }
        self = .milliseconds(number)
        return true
    }

    var helpText: String? { self == .zero ? nil : GoText.duration(nanoseconds: nanoseconds) }
    var configResponse: ConfigResponse { .json(JSONWriter.value(Int(nanoseconds))) }
}
