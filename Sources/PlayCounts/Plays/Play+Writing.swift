extension Play {
    /// The body of the message that a producer sends.
    package var json: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(112)
        appendJSON(to: &bytes)
        return bytes
    }

    /// Appends the body of the message that a producer sends: `{"video_id":"…","play_id":"…"}`.
    package func appendJSON(to bytes: inout [UInt8]) {
        bytes.append("{\"video_id\":\"")
        bytes.append(videoID)
        if let playID {
            bytes.append("\",\"play_id\":\"")
            bytes.append(playID)
        }
        bytes.append("\"}")
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ playID: PlayID) {
        switch playID {
        case .guid(let guid): append(guid)
        case .text(let text): for byte in text { append(escaping: byte) }
        }
    }

    private mutating func append(escaping byte: UInt8) {
        switch byte {
        case .quote, .backslash:
            append(.backslash)
            append(byte)
        case 0..<0x20:
            let hex = "0123456789abcdef" as StaticString
            append("\\u00")
            append(hex.utf8Start[Int(byte >> 4)])
            append(hex.utf8Start[Int(byte & 15)])
        default:
            append(byte)
        }
    }
}
