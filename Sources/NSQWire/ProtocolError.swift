/// An error response to a command.
package struct ProtocolError: Error, Equatable, Sendable {
    /// The code at the start of an error frame.
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

    /// The error's code.
    package let code: Code

    /// The data of the error frame: the code, a space and the description. The data may not be
    /// valid UTF-8, because some errors of nsqd repeat the client's bytes.
    package let data: [UInt8]

    package init(_ code: Code, _ description: String) {
        self.init(code, Array(description.utf8))
    }

    /// Creates an error whose description starts with the verb of the failed command.
    package init(_ code: Code, _ verb: Verb, _ description: String) {
        self.init(code, "\(verb.rawValue) \(description)")
    }

    /// Creates an error about a message. The description starts with the verb and the message ID.
    package init(_ code: Code, _ verb: Verb, _ id: MessageID, _ description: String) {
        self.init(
            code, Array("\(verb.rawValue) ".utf8) + id.bytes + Array(" \(description)".utf8))
    }

    /// Creates an error from a description that may not be valid UTF-8.
    package init(_ code: Code, _ description: [UInt8]) {
        self.code = code
        data = Array(code.rawValue.utf8) + [UInt8(ascii: " ")] + description
    }

    /// Creates an error without a description.
    package init(bare code: Code) {
        self.code = code
        data = Array(code.rawValue.utf8)
    }

    /// `true` if the broker closes the connection after the error. The connection stays open only
    /// after a failed FIN, REQ or TOUCH.
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
