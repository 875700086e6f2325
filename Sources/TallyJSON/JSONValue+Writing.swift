extension JSONValue: JSONWritable {
    /// Appends the value as JSON. Numbers keep their spelling. Unpaired surrogates become U+FFFD.
    ///
    /// - Precondition: no array or object was skipped by the parser.
    package func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let flag): flag.write(to: &bytes)
        case .number(let digits): bytes += digits.utf8
        case .string(let text): text.write(to: &bytes)
        case .surrogateString(let text): String(decoding: text, as: UTF8.self).write(to: &bytes)
        case .array(let values): values.write(to: &bytes)
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                member.name.write(to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        case .skipped: preconditionFailure("a skipped value is not written")
        }
    }
}
