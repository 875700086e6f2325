import Foundation

/// The JSON object that is published to the topic of rejected messages for one rejected message.
package struct RejectedMessage: Encodable {
    /// The maximum length of a body in bytes; a longer body is truncated. nsqd accepts messages of
    /// 1 MiB. A body of this length always fits, even if JSON escapes each byte with six
    /// (`\u0001`).
    package static let longestBody = 160 << 10

    private var reason: String
    private var description: String
    private var messageID: String
    private var bodyBytes: Int
    /// The body, or its beginning if it is truncated, as text; `nil` if it is not UTF-8.
    private var body: String?
    /// The body, or its beginning if it is truncated, in base 64; `nil` if it is UTF-8.
    private var bodyBase64: String?
    private var isCut: Bool?

    enum CodingKeys: String, CodingKey {
        case reason, description, body
        case messageID = "message_id"
        case bodyBytes = "body_bytes"
        case bodyBase64 = "body_base64"
        case isCut = "is_cut"
    }

    /// - Parameters:
    ///   - whole: the body of the rejected message.
    ///   - longestBody: the length in bytes to which the body is truncated.
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

    /// The bytes as text, or `nil` if they are not UTF-8. An incomplete character at the end of a
    /// truncated body is omitted.
    private static func text(_ bytes: Slice<UnsafeRawBufferPointer>, isCut: Bool) -> String? {
        for incompleteBytes in 0..<(isCut ? 4 : 1) {
            if let text = String(validating: bytes.dropLast(incompleteBytes), as: UTF8.self) {
                return text
            }
        }
        return nil
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("strings, numbers and booleans have a JSON encoding")
        }
        return Array(data)
    }
}
