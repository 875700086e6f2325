import TallyJSON

/// The tags of a job in their column: a JSON array, or NULL for none.
enum JobTags {
    static func encode(_ tags: [String]) -> String? {
        tags.isEmpty ? nil : String(decoding: JSONWriter.value(tags), as: UTF8.self)
    }

    static func decode(_ text: String?) -> [String] {
        guard let text, let value = try? JSONValue(parsingStrictly: Array(text.utf8), maxDepth: 2)
        else { return [] }
        return [String](json: value) ?? []
    }
}
