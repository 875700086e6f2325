import TallyJSON

/// Selects messages by a field of their JSON body, and removes other fields, as `nsq_to_nsq` does.
package struct JSONFilter: Sendable {
    /// Only messages with this field pass; empty for all.
    package var requiredField = ""
    /// Only messages in which ``requiredField`` has this value, a text or a number, pass; empty for
    /// any value.
    package var requiredValue = ""
    /// The fields that remain in the body of a message that passes; empty for all.
    package var fields: [String] = []

    /// Creates a filter that passes all messages unchanged.
    package init() {}

    /// The decision about a message.
    package enum Decision: Equatable, Sendable {
        /// The message passes with this body.
        case pass([UInt8])
        case discard
        /// The body is not a JSON object.
        case malformed
        /// The message lacks ``requiredField``, although a value is required.
        case missingField
    }

    /// The maximum nesting of arrays and objects. A body with deeper nesting is malformed.
    private static let maxDepth = 500

    /// Decides about a message.
    package func decide(_ body: [UInt8]) -> Decision {
        guard !requiredField.isEmpty || !fields.isEmpty else { return .pass(body) }
        guard let json = try? JSONValue(parsingLikeGo: body, keptDepth: Self.maxDepth) else {
            return .malformed
        }
        switch json {
        case .object, .null: break
        default: return .malformed
        }
        if !requiredField.isEmpty {
            guard let value = json[requiredField] else {
                return requiredValue.isEmpty ? .discard : .missingField
            }
            guard requiredValue.isEmpty || isRequired(value) else { return .discard }
        }
        guard !fields.isEmpty else { return .pass(body) }
        return selected(from: json).map { .pass($0) } ?? .malformed
    }

    private func isRequired(_ value: JSONValue) -> Bool {
        switch value {
        case .string(let text): text == requiredValue
        case .number(let digits):
            Double(requiredValue).map { $0 == Double(digits) } ?? false
        default: false
        }
    }

    /// Returns the object with only the selected fields, sorted by name; `nil` if a value is nested
    /// too deeply.
    private func selected(from json: JSONValue) -> [UInt8]? {
        var members: [JSONValue.Member] = []
        if case .object(let all) = json {
            members = all.filter { member in fields.contains { $0 == member.name } }
        }
        var bytes: [UInt8] = []
        return Self.write(.object(members), to: &bytes) ? bytes : nil
    }

    /// Appends a value as Go encodes it: members are sorted by name, and only the last member with
    /// a name is written. Numbers are written as they were received.
    ///
    /// - Returns: `false` if a value was nested too deeply, or contains an unpaired surrogate.
    private static func write(_ value: JSONValue, to bytes: inout [UInt8]) -> Bool {
        switch value {
        case .null: bytes += "null".utf8
        case .bool(let flag): flag.write(to: &bytes)
        case .number(let digits): bytes += digits.utf8
        case .string(let text): text.write(to: &bytes)
        case .surrogateString, .skipped: return false
        case .array(let elements):
            return writeList(elements, "[", "]", to: &bytes) { write($0, to: &$1) }
        case .object(let members):
            let last = Dictionary(members.map { ($0.name, $0.value) }) { $1 }
            return writeList(last.sorted { $0.key < $1.key }, "{", "}", to: &bytes) {
                $0.key.write(to: &$1)
                $1.append(UInt8(ascii: ":"))
                return write($0.value, to: &$1)
            }
        }
        return true
    }

    private static func writeList<Element>(
        _ elements: [Element], _ start: String, _ end: String, to bytes: inout [UInt8],
        _ write: (Element, inout [UInt8]) -> Bool
    ) -> Bool {
        bytes += start.utf8
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            guard write(element, &bytes) else { return false }
        }
        bytes += end.utf8
        return true
    }
}
