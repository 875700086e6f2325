/// Writes JSON in the order it is told, as Go's encoder spells it: for answers and events.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init() {}

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

    package mutating func object(_ members: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        members(&self)
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    package mutating func array<Element>(
        _ elements: some Sequence<Element>, _ add: (inout JSONWriter, Element) -> Void
    ) {
        separate()
        bytes.append(UInt8(ascii: "["))
        for element in elements { add(&self, element) }
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    package mutating func member(_ name: StaticString, _ value: some JSONWritable) {
        self.name(name)
        add(value)
    }

    package mutating func name(_ name: StaticString) {
        separate()
        bytes += "\"\(name)\":".utf8
    }

    package mutating func add(_ value: some JSONWritable) {
        separate()
        value.write(to: &bytes)
        needsComma = true
    }

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

/// A value of JSON that stands for itself.
package protocol JSONWritable {
    func write(to bytes: inout [UInt8])
}

extension Int: JSONWritable {
    package func write(to bytes: inout [UInt8]) { bytes += String(self).utf8 }
}

extension Bool: JSONWritable {
    package func write(to bytes: inout [UInt8]) { bytes += (self ? "true" : "false").utf8 }
}

extension Double: JSONWritable {
    /// A whole number has no point in Go's JSON.
    package func write(to bytes: inout [UInt8]) {
        bytes += (Int(exactly: self).map(String.init) ?? String(self)).utf8
    }
}

extension Array: JSONWritable where Element: JSONWritable {
    package func write(to bytes: inout [UInt8]) {
        var writer = JSONWriter()
        writer.array(self) { $0.add($1) }
        bytes += writer.bytes
    }
}

extension String: JSONWritable {
    package func write(to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in unicodeScalars {
            switch scalar {
            case "\"", "\\": bytes += "\\\(scalar)".utf8
            case "\n": bytes += "\\n".utf8
            case "\r": bytes += "\\r".utf8
            case "\t": bytes += "\\t".utf8
            // What a browser might take for markup is escaped, too.
            case "\0"..<" ", "<", ">", "&", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                bytes += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8
            default: bytes += UTF8.encode(scalar)!
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
