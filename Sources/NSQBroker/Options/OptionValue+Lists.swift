import HTTP
import Transport

/// What a list is made of.
protocol OptionElement: Sendable, JSONWritable {
    static var listNoun: String { get }
    /// What stands behind a flag makes one, or several.
    static func elements(behindFlag text: String) throws(BadValue) -> [Self]
    init?(_ value: ConfigValue)
    static func inOrder(_ list: [Self]) -> [Self]
}

/// Lists grow with every flag of theirs; a file has them whole, and one text there is a list with
/// commas.
extension Array: OptionValue where Element: OptionElement {
    static var noun: String { Element.listNoun }

    mutating func take(_ text: String) throws(BadValue) {
        self = Element.inOrder(self + (try Element.elements(behindFlag: text)))
    }

    mutating func take(native value: ConfigValue) throws(BadValue) -> Bool {
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
        self = Element.inOrder(elements)
        return true
    }

    var shown: String? { nil }
    var answer: ConfigAnswer { .json(JSONWriter.value(self)) }
}

extension String: OptionElement {
    static var listNoun: String { "a list of texts" }
    static func elements(behindFlag text: String) -> [String] { [text] }
    static func inOrder(_ list: [String]) -> [String] { list }

    init?(_ value: ConfigValue) {
        guard case .text(let text) = value else { return nil }
        self = text
    }
}

extension Double: OptionElement {
    static var listNoun: String { "a list of numbers" }
    static func inOrder(_ list: [Double]) -> [Double] { list.sorted(by: >) }

    static func elements(behindFlag text: String) throws(BadValue) -> [Double] {
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

    mutating func take(_ text: String) throws(BadValue) {
        guard let level = LogLevel(text: text) else {
            throw BadValue("invalid log level '\(text)' (debug, info, warn, error, fatal)")
        }
        self = level
    }

    var shown: String? { rawValue }
    var answer: ConfigAnswer { .json(JSONWriter.value(number)) }
}

extension TLSRequirement: OptionValue {
    static var isBoolean: Bool { true }
    static var typeName: String { "" }
    static var noun: String { "true, false or tcp-https" }

    mutating func take(_ text: String) throws(BadValue) {
        if text.lowercased() == "tcp-https" {
            self = .exceptHTTP
        } else {
            guard let isRequired = GoText.bool(text.lowercased()) else { throw .malformed }
            self = isRequired ? .everywhere : .nowhere
        }
    }

    mutating func take(native value: ConfigValue) -> Bool {
        guard case .boolean(let isRequired) = value else { return false }
        self = isRequired ? .everywhere : .nowhere
        return true
    }

    var shown: String? { nil }
    var answer: ConfigAnswer { .json(JSONWriter.value(rawValue)) }
}

extension TLSVersion: OptionValue {
    static var noun: String { "a TLS version" }

    mutating func take(_ text: String) throws(BadValue) {
        // nsqd's own example of a configuration file has an empty one.
        guard !text.isEmpty else { return }
        guard let version = TLSVersion(rawValue: text.lowercased()) else {
            throw BadValue("unknown TLS version '\(text)' (tls1.0, tls1.1, tls1.2, tls1.3)")
        }
        self = version
    }

    var shown: String? { rawValue }
    /// The number that stands for it on the wire: 0x0301 for 1.0.
    var answer: ConfigAnswer {
        .json(JSONWriter.value(0x0301 + Self.allCases.firstIndex(of: self)!))
    }
}

extension SyncPolicy: OptionValue {
    static var noun: String { "write or always" }

    mutating func take(_ text: String) throws(BadValue) {
        guard let policy = SyncPolicy(rawValue: text) else { throw BadValue("not \(Self.noun)") }
        self = policy
    }

    var shown: String? { rawValue }
    var answer: ConfigAnswer { .text(rawValue) }
}
