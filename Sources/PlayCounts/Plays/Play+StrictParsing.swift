import TallyJSON

extension Play {
    /// Parses any message according to RFC 8259. Where the RFC leaves a choice, this parser rejects
    /// duplicate keys, because they are ambiguous, and accepts unpaired surrogates.
    package init(
        strictlyParsing body: RawSpan, limits: PlayParsingLimits = PlayParsingLimits()
    ) throws(Rejection) {
        guard body.byteCount <= limits.bodyBytes else { throw .tooLarge }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(
                parsingStrictly: body.withUnsafeBytes { Array($0) }, maxDepth: limits.depth)
        } catch {
            throw Rejection(error)
        }
        guard case .object = value else { throw .notAnObject }
        guard let video = value["video_id"] else { throw .noVideoID }
        guard case .string(let text) = video,
            let id = Array(text.utf8).withUnsafeBytes({ GUID(text: $0) })
        else { throw .badVideoID }
        self.init(of: id, playID: nil)
        if let text = value["play_id"]?.textBytes, !text.isEmpty {
            self.init(of: id, playID: text.withUnsafeBytes { PlayID($0) })
        }
    }
}

extension JSONValue {
    /// The bytes of a string. Two strings with different unpaired surrogates have different bytes.
    fileprivate var textBytes: [UInt8]? {
        switch self {
        case .string(let text): Array(text.utf8)
        case .surrogateString(let bytes): bytes
        default: nil
        }
    }
}

extension Rejection {
    fileprivate init(_ error: JSONError) {
        self =
            switch error {
            case .malformed: .notJSON
            case .invalidUTF8: .invalidUTF8
            case .tooDeep: .tooDeep
            case .duplicateName: .duplicateKeys
            }
    }
}
