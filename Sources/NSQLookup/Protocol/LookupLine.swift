import NSQWire

/// A command line of nsqlookupd's protocol. As in nsqlookupd, white space at both ends is removed,
/// and the line is split at every single space.
struct LookupLine {
    let verb: [UInt8]
    let parameters: [[UInt8]]

    /// Splits a line.
    ///
    /// - Parameter line: the line, with or without its newline.
    init(_ line: some Sequence<UInt8>) {
        let words = Self.trimmed(Array(line)[...])
            .split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            .map { Array($0) }
        verb = words[0]
        parameters = Array(words.dropFirst())
    }

    /// Removes the white space that Go's `strings.TrimSpace` removes, limited to characters of
    /// ASCII and Latin-1.
    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line
        while let count = spaceCount(line.prefix(2)) { line = line.dropFirst(count) }
        while let last = line.last {
            if isSpace(last) {
                line = line.dropLast()
            } else if spaceCount(line.suffix(2)) == 2 {
                line = line.dropLast(2)
            } else {
                break
            }
        }
        return line
    }

    /// Returns the number of bytes of the white space character at the start; `nil` if there is
    /// none.
    private static func spaceCount(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard let first = bytes.first else { return nil }
        if isSpace(first) { return 1 }
        // U+0085 and U+00A0.
        return first == 0xc2 && [0x85, 0xa0].contains(bytes.dropFirst().first) ? 2 : nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d) ~= byte }

    /// The topic and the optional channel of REGISTER and UNREGISTER.
    ///
    /// - Throws: the error for a missing or invalid name.
    func names() throws(ProtocolError) -> (TopicName, ChannelName?) {
        guard let topicBytes = parameters.first else {
            throw ProtocolError(.invalid, verb + Array(" insufficient number of params".utf8))
        }
        guard let topic = topicBytes.withUnsafeBytes({ TopicName(bytes: $0) }) else {
            throw invalidName(.badTopic, "topic", topicBytes)
        }
        guard parameters.count > 1, !parameters[1].isEmpty else { return (topic, nil) }
        guard let channel = parameters[1].withUnsafeBytes({ ChannelName(bytes: $0) }) else {
            throw invalidName(.badChannel, "channel", parameters[1])
        }
        return (topic, channel)
    }

    private func invalidName(
        _ code: ProtocolError.Code, _ kind: String, _ name: [UInt8]
    ) -> ProtocolError {
        ProtocolError(
            code,
            verb + Array(" \(kind) name '".utf8) + name + Array("' is not valid".utf8))
    }
}
