import TallyJSON
import Transport

/// An element type of list options.
protocol OptionElement: Sendable, JSONWritable {
    /// The text for an expected list in error messages, for example "a list of numbers".
    static var listNoun: String { get }
    /// Parses the value of one occurrence of the flag, which can contain several elements.
    static func elements(ofFlag text: String) throws(BadValue) -> [Self]
    /// Converts a list element of a configuration file; `nil` if it has another type.
    init?(_ value: ConfigValue)
    /// Returns the elements in the order that the option requires.
    static func ordered(_ list: [Self]) -> [Self]
}

/// List options. Each occurrence of a list's flag appends to the list. A configuration file
/// replaces the list with an array, or with a text that has commas between the elements.
extension Array: OptionValue where Element: OptionElement {
    static var isList: Bool { true }
    static var noun: String { Element.listNoun }

    mutating func parse(_ text: String) throws(BadValue) {
        self = Element.ordered(self + (try Element.elements(ofFlag: text)))
    }

    mutating func set(native value: ConfigValue) throws(BadValue) -> Bool {
        let values: [ConfigValue]
        switch value {
        case .text(let text): values = text.split(separator: ",").map { .text(String($0)) }
        case .list(let list): values = list
        default: return false
        }
        var elements: [Element] = []
        for value in values {
            guard let element = Element(value) else { return false }
            elements.append(element)
        }
        self = Element.ordered(elements)
        return true
    }

    var helpText: String? { nil }
    var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension String: OptionElement {
    /// The expected value in error messages.
    static var listNoun: String { "a list of texts" }
    static func elements(ofFlag text: String) -> [String] { [text] }
    static func ordered(_ list: [String]) -> [String] { list }

    init?(_ value: ConfigValue) {
        guard case .text(let text) = value else { return nil }
        self = text
    }
}

extension Double: OptionElement {
    /// The expected value in error messages.
    static var listNoun: String { "a list of numbers" }
    static func ordered(_ list: [Double]) -> [Double] { list.sorted(by: >) }

    static func elements(ofFlag text: String) throws(BadValue) -> [Double] {
        var numbers: [Double] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Double(ConfigValue.text(String(part))) else { throw .malformed }
            numbers.append(number)
        }
        return numbers
    }

    init?(_ value: ConfigValue) {
        switch value {
        case .number(let number): self = number
        case .integer(let number): self = Double(number)
        case .text(let text):
            guard let number = Double(String(text.filter { $0 != " " })) else { return nil }
            self = number
        default: return nil
        }
    }
}

// MARK: Choices

extension LogLevel: OptionValue {
    static var noun: String { "a log level" }

    mutating func parse(_ text: String) throws(BadValue) {
        guard let level = LogLevel(text: text) else {
            throw BadValue("invalid log level '\(text)' (debug, info, warn, error, fatal)")
        }
        self = level
    }

    var helpText: String? { rawValue }
    var configResponse: ConfigResponse { .json(JSONWriter.value(number)) }
}

extension TLSRequirement: OptionValue {
    static var isBoolean: Bool { true }
    static var typeName: String { "" }
    static var noun: String { "true, false or tcp-https" }

    mutating func parse(_ text: String) throws(BadValue) {
        if text.lowercased() == "tcp-https" {
            self = .exceptHTTP
        } else {
            guard let isRequired = GoText.bool(text.lowercased()) else { throw .malformed }
            self = isRequired ? .everywhere : .nowhere
        }
    }

    mutating func set(native value: ConfigValue) -> Bool {
        guard case .boolean(let isRequired) = value else { return false }
        self = isRequired ? .everywhere : .nowhere
        return true
    }

    var helpText: String? { nil }
    var configResponse: ConfigResponse { .json(JSONWriter.value(rawValue)) }
}

extension TLSVersion: OptionValue {
    static var noun: String { "a TLS version" }

    mutating func parse(_ text: String) throws(BadValue) {
        // nsqd's example configuration file contains an empty value.
        guard !text.isEmpty else { return }
        guard let version = TLSVersion(rawValue: text.lowercased()) else {
            throw BadValue("unknown TLS version '\(text)' (tls1.0, tls1.1, tls1.2, tls1.3)")
        }
        self = version
    }

    var helpText: String? { rawValue }
    /// The version's number in the TLS protocol: 0x0301 for 1.0.
    var configResponse: ConfigResponse {
        .json(JSONWriter.value(0x0301 + Self.allCases.firstIndex(of: self)!))
    }
}

extension SyncPolicy: OptionValue {
    static var noun: String { "write or always" }

    mutating func parse(_ text: String) throws(BadValue) {
        guard let policy = SyncPolicy(rawValue: text) else { throw BadValue("not \(Self.noun)") }
        self = policy
    }

    var helpText: String? { rawValue }
    var configResponse: ConfigResponse { .text(rawValue) }
}
