import HTTP
import BrokerCore

/// A kind of value that an option may have: how it is read, and how it is shown.
protocol OptionValue: Sendable {
    /// What the help calls it, in Go's words.
    static var typeName: String { get }
    static var isBoolean: Bool { get }
    /// What a configuration file must have for it.
    static var noun: String { get }

    /// Takes what stands behind a flag.
    mutating func take(_ text: String) throws(BadValue)
    /// Takes what a configuration file has, if that is more than a text like a flag's.
    ///
    /// - Returns: `false` if it is nothing of the kind.
    mutating func take(native value: ConfigValue) throws(BadValue) -> Bool

    /// As the help shows it; `nil` for what Go takes for no value.
    var shown: String? { get }
    /// As `/config/…` shows it.
    var answer: ConfigAnswer { get }
}

/// What `/config/…` answers: JSON, but a string is the bare text.
enum ConfigAnswer {
    case text(String)
    case json([UInt8])
}

extension OptionValue {
    static var isBoolean: Bool { false }
    static var typeName: String { "value" }

    mutating func take(_ value: ConfigValue) throws(BadValue) {
        if try take(native: value) { return }
        guard case .text(let text) = value else { throw BadValue("not \(Self.noun)") }
        try take(text)
    }

    mutating func take(native value: ConfigValue) throws(BadValue) -> Bool { false }
}

extension String: OptionValue {
    static var typeName: String { "string" }
    static var noun: String { "a text" }
    mutating func take(_ text: String) { self = text }
    var shown: String? { isEmpty ? nil : "\"\(self)\"" }
    var answer: ConfigAnswer { .text(self) }
}

extension Int: OptionValue {
    static var typeName: String { "int" }
    static var noun: String { "an integer" }

    mutating func take(_ text: String) throws(BadValue) { self = try GoText.integer(text) }

    mutating func take(native value: ConfigValue) -> Bool {
        guard case .integer(let number) = value else { return false }
        self = number
        return true
    }

    var shown: String? { self == 0 ? nil : String(self) }
    var answer: ConfigAnswer { .json(JSONWriter.value(self)) }
}

extension Bool: OptionValue {
    static var isBoolean: Bool { true }
    static var typeName: String { "" }
    static var noun: String { "true or false" }

    mutating func take(_ text: String) throws(BadValue) {
        guard let value = GoText.bool(text) else { throw .malformed }
        self = value
    }

    /// nsqd takes 1 for false here; whoever writes it means true.
    mutating func take(native value: ConfigValue) -> Bool {
        switch value {
        case .boolean(let value): self = value
        case .integer(0): self = false
        case .integer(1): self = true
        default: return false
        }
        return true
    }

    var shown: String? { self ? "true" : nil }
    var answer: ConfigAnswer { .json(JSONWriter.value(self)) }
}

extension Duration: OptionValue {
    static var typeName: String { "duration" }
    static var noun: String { "a duration like \"60s\"" }

    mutating func take(_ text: String) throws(BadValue) {
        guard let duration = Duration(goText: text) else { throw .malformed }
        self = duration
    }

    /// A bare number is one of milliseconds.
    mutating func take(native value: ConfigValue) -> Bool {
        guard case .integer(let number) = value else { return false }
        self = .milliseconds(number)
        return true
    }

    var shown: String? { self == .zero ? nil : GoText.duration(nanoseconds: nanoseconds) }
    var answer: ConfigAnswer { .json(JSONWriter.value(Int(nanoseconds))) }
}
