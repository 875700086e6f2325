import TallyBasics
import TallyJSON

/// A type of option values, which can be parsed and formatted.
package protocol OptionValue: Sendable {
    /// The name of the type in the help, as in Go.
    static var typeName: String { get }
    /// `true` if the flag needs no value.
    static var isBoolean: Bool { get }
    /// `true` if the flag can be given several times.
    static var isList: Bool { get }
    /// The text for an expected value in error messages, for example "a number".
    static var noun: String { get }

    /// Applies a flag of the command line: replaces the value, or appends to a list.
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
package enum ConfigResponse {
    /// Plain text.
    case text(String)
    /// JSON.
    case json([UInt8])
}

extension OptionValue {
    package static var isBoolean: Bool { false }
    package static var isList: Bool { false }
    package static var typeName: String { "value" }

    /// Replaces the value with a value of a configuration file.
    package mutating func set(_ value: ConfigValue) throws(BadValue) {
        if try set(native: value) { return }
        guard case .text(let text) = value else { throw BadValue("not \(Self.noun)") }
        try parse(text)
    }

    package mutating func set(native value: ConfigValue) throws(BadValue) -> Bool { false }
}

extension String: OptionValue {
    package static var typeName: String { "string" }
    package static var noun: String { "a text" }
    package mutating func parse(_ text: String) { self = text }
    package var helpText: String? { isEmpty ? nil : "\"\(self)\"" }
    package var configResponse: ConfigResponse { .text(self) }
}

extension Int: OptionValue {
    package static var typeName: String { "int" }
    package static var noun: String { "an integer" }

    package mutating func parse(_ text: String) throws(BadValue) { self = try GoText.integer(text) }

    package mutating func set(native value: ConfigValue) -> Bool {
        guard case .integer(let number) = value else { return false }
        self = number
        return true
    }

    package var helpText: String? { self == 0 ? nil : String(self) }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension Double: OptionValue {
    package static var typeName: String { "float" }
    package static var noun: String { "a number" }

    package mutating func parse(_ text: String) throws(BadValue) {
        guard let number = Double(text), number.isFinite else { throw .malformed }
        self = number
    }

    package mutating func set(native value: ConfigValue) -> Bool {
        switch value {
        case .number(let number): self = number
        case .integer(let number): self = Double(number)
        default: return false
        }
        return true
    }

    package var helpText: String? {
        self == 0 ? nil : String(decoding: JSONWriter.value(self), as: UTF8.self)
    }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension Bool: OptionValue {
    package static var isBoolean: Bool { true }
    package static var typeName: String { "" }
    package static var noun: String { "true or false" }

    package mutating func parse(_ text: String) throws(BadValue) {
        guard let value = GoText.bool(text) else { throw .malformed }
        self = value
    }

    /// Accepts the number 1 as `true`. nsqd treats it as `false` here, which is an error in nsqd.
    package mutating func set(native value: ConfigValue) -> Bool {
        switch value {
        case .boolean(let value): self = value
        case .integer(0): self = false
        case .integer(1): self = true
        default: return false
        }
        return true
    }

    package var helpText: String? { self ? "true" : nil }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension Duration: OptionValue {
    package static var typeName: String { "duration" }
    package static var noun: String { "a duration like \"60s\"" }

    package mutating func parse(_ text: String) throws(BadValue) {
        guard let duration = Duration(goText: text) else {
            throw BadValue(
                BadValue.malformed.description, remedy: Duration.remedy(forGoText: text))
        }
        self = duration
    }

    /// Accepts an integer as a number of milliseconds.
    package mutating func set(native value: ConfigValue) -> Bool {
        guard case .integer(let number) = value else { return false }
        self = .milliseconds(number)
        return true
    }

    package var helpText: String? {
        self == .zero ? nil : GoText.duration(nanoseconds: nanoseconds)
    }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(Int(nanoseconds))) }
}
