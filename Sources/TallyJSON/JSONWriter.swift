/// Writes JSON without white space, with Go's spelling, and in the order of the calls.
package struct JSONWriter {
    /// The JSON so far.
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// Creates a writer with no output yet.
    package init() {}

    /// Returns one object as JSON.
    ///
    /// - Parameter members: writes the members.
    package static func object(_ members: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.object(members)
        return writer.bytes
    }

    package static func value(_ value: some JSONWritable) -> [UInt8] {
        var writer = JSONWriter()
        writer.add(value)
        return writer.bytes
    }

    /// Writes an object.
    ///
    /// - Parameter members: writes the members.
    package mutating func object(_ members: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        members(&self)
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    /// Writes an array.
    ///
    /// - Parameter add: writes one element.
    package mutating func array<Element>(
        _ elements: some Sequence<Element>, _ add: (inout JSONWriter, Element) -> Void
    ) {
        separate()
        bytes.append(UInt8(ascii: "["))
        for element in elements { add(&self, element) }
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    /// Writes an array, or `null` if `elements` is `nil`.
    ///
    /// - Parameter add: writes one element.
    package mutating func array<Element>(
        _ elements: (some Sequence<Element>)?, _ add: (inout JSONWriter, Element) -> Void
    ) {
        if let elements { array(elements, add) } else { null() }
    }

    /// Writes a member of an object.
    ///
    /// - Parameter name: a name without characters that JSON escapes.
    package mutating func member(_ name: String, _ value: some JSONWritable) {
        self.name(name)
        add(value)
    }

    /// Writes the name of a member; the caller writes its value next.
    ///
    /// - Parameter name: a name without characters that JSON escapes.
    package mutating func name(_ name: String) {
        separate()
        bytes += "\"\(name)\":".utf8
    }

    /// Writes a value: an element of an array, or the value of the member just named.
    package mutating func add(_ value: some JSONWritable) {
        separate()
        value.write(to: &bytes)
        needsComma = true
    }

    /// Writes `null`.
    package mutating func null() {
        separate()
        bytes += "null".utf8
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }
}

/// A type whose values can be written as JSON.
package protocol JSONWritable {
    /// Appends the value as JSON.
    func write(to bytes: inout [UInt8])
}

/// `nil` is `null`.
extension Optional: JSONWritable where Wrapped: JSONWritable {
    package func write(to bytes: inout [UInt8]) {
        if let self { self.write(to: &bytes) } else { bytes += "null".utf8 }
    }
}

extension Int: JSONWritable {
    /// Appends the number in decimal digits.
    package func write(to bytes: inout [UInt8]) { bytes += String(self).utf8 }
}

extension Bool: JSONWritable {
    /// Appends `true` or `false`.
    package func write(to bytes: inout [UInt8]) { bytes += (self ? "true" : "false").utf8 }
}

extension Double: JSONWritable {
    /// Appends the number; like Go's encoder, it writes whole numbers without a decimal point.
    package func write(to bytes: inout [UInt8]) {
        bytes += (Int(exactly: self).map(String.init) ?? String(self)).utf8
    }
}

extension Array: JSONWritable where Element: JSONWritable {
    /// Appends the array.
    package func write(to bytes: inout [UInt8]) {
        var writer = JSONWriter()
        writer.array(self) { $0.add($1) }
        bytes += writer.bytes
    }
}

extension String: JSONWritable {
    /// Appends the string. Like Go's encoder, it also escapes characters that a browser could read as
    /// markup.
    package func write(to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in unicodeScalars {
            switch scalar {
            case "\"", "\\": bytes += "\\\(scalar)".utf8
            case "\n": bytes += "\\n".utf8
            case "\r": bytes += "\\r".utf8
            case "\t": bytes += "\\t".utf8
            case "\0"..<" ", "<", ">", "&", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                bytes += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8
            default: bytes += UTF8.encode(scalar)!
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
