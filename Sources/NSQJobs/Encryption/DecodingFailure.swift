/// A `DecodingError` without the values that could not be decoded: its kind and the path to the value.
struct DecodingFailure: Error, CustomStringConvertible {
    let description: String

    init(_ error: DecodingError) {
        description =
            switch error {
            case .typeMismatch(let type, let context):
                "no value of the type \(type) \(Self.place(context.codingPath))"
            case .valueNotFound(let type, let context):
                "null instead of a value of the type \(type) \(Self.place(context.codingPath))"
            case .keyNotFound(let key, let context):
                "no value for the key '\(key.stringValue)' \(Self.place(context.codingPath))"
            case .dataCorrupted(let context):
                "an invalid value \(Self.place(context.codingPath))"
            @unknown default: "a value that cannot be decoded"
            }
    }

    private static func place(_ path: [any CodingKey]) -> String {
        guard !path.isEmpty else { return "at the top level" }
        return
            "at '\(path.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }.joined(separator: "."))'"
    }
}
