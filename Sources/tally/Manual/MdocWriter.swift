/// Writes lines in the format of mdoc(7).
struct MdocWriter {
    var lines: [String] = []

    /// The maximum length of a line of text, in bytes.
    private static let columns = 78

    /// Adds text, with each sentence on a new line.
    mutating func add(text: String) {
        var line = ""
        for word in text.split(whereSeparator: \.isWhitespace) {
            if !line.isEmpty, line.utf8.count + 1 + word.utf8.count > Self.columns { end(&line) }
            line += (line.isEmpty ? "" : " ") + word
            if word.last.map({ ".?!".contains($0) }) == true { end(&line) }
        }
        end(&line)
    }

    /// Adds a list of items.
    ///
    /// - Parameter items: the label of each item as mdoc macros, and its text.
    mutating func list(_ items: [(label: String, text: String)]) {
        lines.append(".Bl -tag -width Ds")
        for item in items {
            lines.append(".It \(item.label)")
            add(text: item.text)
        }
        lines.append(".El")
    }

    /// Adds lines that are printed as they are.
    mutating func example(_ text: [String]) {
        lines.append(".Bd -literal -offset indent")
        lines += text.map(Self.escaped)
        lines.append(".Ed")
    }

    /// Escapes an argument of a macro, so that it is not read as a macro itself.
    static func argument(_ text: some StringProtocol) -> String { "\\&\(text)" }

    private mutating func end(_ line: inout String) {
        if !line.isEmpty { lines.append(Self.escaped(line)) }
        line = ""
    }

    private static func escaped(_ line: String) -> String {
        let text = line.replacing("\\", with: "\\e")
        return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&\(text)" : text
    }
}
