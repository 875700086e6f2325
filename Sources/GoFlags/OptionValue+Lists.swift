import TallyBasics
import TallyJSON

/// An element type of list options.
package protocol OptionElement: Sendable, JSONWritable {
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
    package static var isList: Bool { true }
    package static var noun: String { Element.listNoun }

    package mutating func parse(_ text: String) throws(BadValue) {
        self = Element.ordered(self + (try Element.elements(ofFlag: text)))
    }

    package mutating func set(native value: ConfigValue) throws(BadValue) -> Bool {
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

    package var helpText: String? { nil }
    package var configResponse: ConfigResponse { .json(JSONWriter.value(self)) }
}

extension String: OptionElement {
    /// The expected value in error messages.
    package static var listNoun: String { "a list of texts" }
    package static func elements(ofFlag text: String) -> [String] { [text] }
    package static func ordered(_ list: [String]) -> [String] { list }

    package init?(_ value: ConfigValue) {
        guard case .text(let text) = value else { return nil }
        self = text
    }
}

extension Double: OptionElement {
    /// The expected value in error messages.
    package static var listNoun: String { "a list of numbers" }
    package static func ordered(_ list: [Double]) -> [Double] { list.sorted(by: >) }

    package static func elements(ofFlag text: String) throws(BadValue) -> [Double] {
        var numbers: [Double] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Double(ConfigValue.text(String(part))) else { throw .malformed }
            numbers.append(number)
        }
        return numbers
    }

    package init?(_ value: ConfigValue) {
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
