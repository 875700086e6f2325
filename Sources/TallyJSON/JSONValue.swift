/// A JSON value that was parsed.
package enum JSONValue: Equatable, Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number, as it is spelled in the text.
    case number(String)
    /// A string, without its escapes.
    case string(String)
    /// A string with unpaired surrogates, without its escapes, from the strict parser. It is in UTF-8,
    /// with the unpaired surrogates in three bytes each (WTF-8).
    case surrogateString([UInt8])
    /// An array.
    case array([JSONValue])
    /// An object: its members in the order of the text, with all duplicates.
    case object([Member])
    /// An array or object below the levels that the parser stores; its syntax is valid.
    case skipped

    /// A member of an object.
    package struct Member: Equatable, Sendable {
        /// The name, without its escapes. Unpaired surrogates are replaced by U+FFFD.
        package let name: String
        /// The value.
        package let value: JSONValue
    }

    /// Parses JSON with the leniency of Go's `encoding/json`, as nsqd does.
    ///
    /// Bytes that are not UTF-8 and lone surrogates become U+FFFD. Duplicate names are allowed. Arrays
    /// and objects may be nested 10,000 deep.
    ///
    /// - Parameter keptDepth: how many levels of arrays and objects are stored. Deeper levels are
    ///   only checked, without recursion, because the sender chooses the depth.
    /// - Throws: `JSONError.malformed` or `.tooDeep`.
    package init(
        parsingLikeGo text: some Sequence<UInt8>, keptDepth: Int
    ) throws(JSONError) {
        var parser = JSONParser(
            Array(text), isStrict: false, maxDepth: 10_000, keptDepth: keptDepth)
        self = try parser.document()
    }

    /// Parses JSON by RFC 8259, and refuses duplicate names, which the RFC does not forbid.
    ///
    /// - Parameter maxDepth: how many levels of arrays and objects are allowed.
    package init(parsingStrictly text: [UInt8], maxDepth: Int) throws(JSONError) {
        guard String(validating: text, as: UTF8.self) != nil else { throw .invalidUTF8 }
        var parser = JSONParser(text, isStrict: true, maxDepth: maxDepth, keptDepth: maxDepth)
        self = try parser.document()
    }

    /// Parses an object like `init(parsingLikeGo:keptDepth:)`, and skips arrays and objects within.
    ///
    /// - Returns: the members; `nil` if the text is `null`.
    package static func flatObject(
        parsingLikeGo text: some Sequence<UInt8>
    ) throws(JSONError) -> [Member]? {
        switch try JSONValue(parsingLikeGo: text, keptDepth: 1) {
        case .object(let members): members
        case .null: nil
        default: throw .malformed
        }
    }

    /// The value of the last member with exactly this name; `nil` if there is none or this is not an
    /// object.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// Stores the value in `field`; `null` leaves `field` unchanged, as in Go.
    ///
    /// - Throws: `JSONError.malformed` if the value has another type than the field.
    package func read<Field: JSONReadable>(into field: inout Field) throws(JSONError) {
        guard self != .null else { return }
        guard let value = Field(json: self) else { throw .malformed }
        field = value
    }
}

/// The reason why a JSON text is refused.
package enum JSONError: Error {
    /// The text is not JSON, or a value has the wrong type.
    case malformed
    /// The text is not UTF-8.
    case invalidUTF8
    /// Arrays and objects are nested too deep.
    case tooDeep
    /// An object has two members of the same name.
    case duplicateName
}

/// A type that can be read from JSON.
package protocol JSONReadable {
    /// Converts a value; `nil` if it has another type.
    init?(json value: JSONValue)
}

extension Bool: JSONReadable {
    /// Converts `true` and `false`.
    package init?(json value: JSONValue) {
        guard case .bool(let flag) = value else { return nil }
        self = flag
    }
}

extension String: JSONReadable {
    /// Converts a string.
    package init?(json value: JSONValue) {
        guard case .string(let text) = value else { return nil }
        self = text
    }
}

extension FixedWidthInteger where Self: JSONReadable {
    /// Converts a whole number in range. As in Go, 1.0 and 1e3 are not whole numbers.
    package init?(json value: JSONValue) {
        guard case .number(let digits) = value, let number = Self(digits) else { return nil }
        self = number
    }
}

extension Int: JSONReadable {}
extension Int32: JSONReadable {}

extension Optional: JSONReadable where Wrapped: JSONReadable {
    /// Converts a value of the wrapped type.
    package init?(json value: JSONValue) {
        guard let wrapped = Wrapped(json: value) else { return nil }
        self = wrapped
    }
}

extension Array: JSONReadable where Element: JSONReadable {
    /// Converts an array if each element can be converted.
    package init?(json value: JSONValue) {
        guard case .array(let values) = value else { return nil }
        self = values.compactMap { Element(json: $0) }
        guard count == values.count else { return nil }
    }
}

extension RawRepresentable<String> {
    /// Finds a field by its JSON name as Go does: in any case, and with the two letters that Unicode
    /// folds into ASCII (U+017F to "s", U+212A to "k").
    package init?(jsonName name: String) {
        let folded = name.lowercased().unicodeScalars.map { $0 == "\u{17f}" ? "s" : Character($0) }
        self.init(rawValue: String(folded))
    }
}
