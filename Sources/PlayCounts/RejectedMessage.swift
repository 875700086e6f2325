import Foundation

/// What stands in the topic of the rejected: one JSON object a message.
package struct RejectedMessage: Encodable {
    /// A longer body is cut. In JSON a byte becomes six at worst (`\u0001`), and nsqd takes a
    /// mebibyte: this much fits in, beside what is said of it, whatever it is made of.
    package static let longestBody = 160 << 10

    private var reason: String
    private var description: String
    private var messageID: String
    private var bodyBytes: Int
    /// The body if it is text, or its bytes in base 64 if it is not; the beginning of a long one.
    private var body: String?
    private var bodyBase64: String?
    private var isCut: Bool?

    enum CodingKeys: String, CodingKey {
        case reason, description, body
        case messageID = "message_id"
        case bodyBytes = "body_bytes"
        case bodyBase64 = "body_base64"
        case isCut = "is_cut"
    }

    package init(
        id: String, body whole: UnsafeRawBufferPointer, reason: Rejection,
        longestBody: Int = Self.longestBody
    ) {
        self.reason = reason.rawValue
        description = "\(reason)"
        messageID = id
        bodyBytes = whole.count
        let kept = whole.prefix(longestBody)
        isCut = kept.count < whole.count ? true : nil
        body = Self.text(kept, isCut: isCut == true)
        if body == nil { bodyBase64 = Data(kept).base64EncodedString() }
    }

    /// The bytes as text, if they are that; the cut may have gone through a character, which is
    /// then left out.
    private static func text(_ bytes: Slice<UnsafeRawBufferPointer>, isCut: Bool) -> String? {
        for halfCharacter in 0..<(isCut ? 4 : 1) {
            if let text = String(validating: bytes.dropLast(halfCharacter), as: UTF8.self) {
                return text
            }
        }
        return nil
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("strings, numbers and flags can be written as JSON")
        }
        return Array(data)
    }
}
