/// A command that cannot be carried out: its `E_` code, and what to tell the client.
package struct ProtocolError: Error, Equatable, Sendable {
    package enum Code: String, CaseIterable, Sendable {
        case invalid = "E_INVALID"
        case badProtocol = "E_BAD_PROTOCOL"
        case badTopic = "E_BAD_TOPIC"
        case badChannel = "E_BAD_CHANNEL"
        case badBody = "E_BAD_BODY"
        case badMessage = "E_BAD_MESSAGE"
        case identifyFailed = "E_IDENTIFY_FAILED"
        case publishFailed = "E_PUB_FAILED"
        case multiPublishFailed = "E_MPUB_FAILED"
        case deferredPublishFailed = "E_DPUB_FAILED"
        case subscribeFailed = "E_SUB_FAILED"
        case finishFailed = "E_FIN_FAILED"
        case requeueFailed = "E_REQ_FAILED"
        case touchFailed = "E_TOUCH_FAILED"
        case authDisabled = "E_AUTH_DISABLED"
        case authFailed = "E_AUTH_FAILED"
        case authFirst = "E_AUTH_FIRST"
        case unauthorized = "E_UNAUTHORIZED"
    }

    package let code: Code

    /// The frame's data: code, space, description. Bytes, because nsqd echoes what a client sent.
    package let data: [UInt8]

    package init(_ code: Code, _ description: String) {
        self.init(code, Array(description.utf8))
    }

    package init(_ code: Code, _ description: [UInt8]) {
        self.code = code
        data = Array(code.rawValue.utf8) + [UInt8(ascii: " ")] + description
    }

    /// An error whose data is the code alone.
    package init(bare code: Code) {
        self.code = code
        data = Array(code.rawValue.utf8)
    }

    /// A fatal error ends the connection once its frame is written; of all commands only FIN, REQ
    /// and TOUCH can fail softly.
    package var isFatal: Bool {
        switch code {
        case .finishFailed, .requeueFailed, .touchFailed: false
        default: true
        }
    }
}

extension ProtocolError: CustomStringConvertible {
    package var description: String { String(decoding: data, as: UTF8.self) }
}

extension Bytes {
    /// The bytes as Go's `%q` prints them: how nsqd quotes a refused name.
    package var goQuoted: String {
        var quoted = "\""
        var rest = self[...]
        while let first = rest.first {
            switch first {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                quoted += "\\" + String(UnicodeScalar(first))
            case 0x20..<0x7f: quoted.unicodeScalars.append(UnicodeScalar(first))
            case 0x80...:
                let length = Self.appendGoQuoted(multibyte: rest, to: &quoted)
                rest = rest.dropFirst(length - 1)
            default: quoted += Self.goEscape(control: first)
            }
            rest = rest.dropFirst()
        }
        return quoted + "\""
    }

    private static func goEscape(control byte: UInt8) -> String {
        switch byte {
        case 0x07: "\\a"
        case 0x08: "\\b"
        case 0x09: "\\t"
        case 0x0a: "\\n"
        case 0x0b: "\\v"
        case 0x0c: "\\f"
        case 0x0d: "\\r"
        default: "\\x" + twoHexDigits(byte)
        }
    }

    /// Appends the scalar that `rest` starts with, or its first byte as `\xNN` if it starts none.
    ///
    /// - Returns: how many bytes that was.
    private static func appendGoQuoted(
        multibyte rest: Slice<UnsafeRawBufferPointer>, to quoted: inout String
    ) -> Int {
        for length in 2...4 where rest.count >= length {
            let candidate = rest.prefix(length)
            if let text = String(validating: candidate, as: UTF8.self),
                let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1
            {
                quoted += scalar.properties.isPrintedByGo ? text : goEscape(scalar)
                return length
            }
        }
        quoted += "\\x" + twoHexDigits(rest.first!)
        return 1
    }

    private static func goEscape(_ scalar: UnicodeScalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return scalar.value < 0x10000
            ? "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            : "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    private static func twoHexDigits(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}

extension UnicodeScalar.Properties {
    /// Go's `unicode.IsPrint` for everything beyond ASCII, in the Go 1.19 that nsqd 1.3.0 is built
    /// with: it knows Unicode 13.
    fileprivate var isPrintedByGo: Bool {
        guard let age, age.major <= 13 else { return false }
        return switch generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator, .spaceSeparator:
            false
        default: true
        }
    }
}
