import CHTTPParser

/// Reads HTTP/1 messages as they come in, in pieces of any size: the one file that knows the
/// library which does it, so that another can take its place.
///
/// The library checks the grammar and finds the end of each message; what is said there is put
/// together here, and told to the sink while ``parse(_:)`` runs.
final class HTTPParser {
    enum Kind {
        case requests
        case responses
    }

    weak var sink: (any HTTPParserSink)?

    private let parser = UnsafeMutablePointer<http_parser>.allocate(capacity: 1)
    private var target: [UInt8] = []
    private var headers = HTTPHeaders()
    private var isReadingHead = true
    private var isAtValue = false
    private var failure: HTTPParserError?

    /// Beyond this many bytes of a head, or of a body's trailer, there is no reading on.
    static let maxHeadBytes = 1 << 20
    /// Each takes some memory of its own, however few its bytes.
    static let maxHeaderCount = 1024

    init(_ kind: Kind) {
        _ = Self.headLimitIsSet
        http_parser_init(parser, kind == .requests ? HTTP_REQUEST : HTTP_RESPONSE)
        // SAFETY: not retained: the parser's memory goes with this object, and only `parse` and
        // `finish`, which hold the object, let the library call back.
        parser.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { parser.deallocate() }

    /// Reads on.
    ///
    /// - Returns: how many bytes were taken: all, unless the parser was paused.
    func parse(_ bytes: UnsafeRawBufferPointer) throws(HTTPParserError) -> Int {
        // For the library no bytes would be the end.
        guard !bytes.isEmpty, !isPaused else { return 0 }
        return try execute(bytes.baseAddress, bytes.count)
    }

    /// Nothing more comes: an answer without a length ends here.
    func finish() throws(HTTPParserError) {
        _ = try execute(nil, 0)
    }

    /// Reads no further than the call of the sink that this is called from.
    func pause() {
        // A parser that has failed stands still as it is, and the library aborts if told to.
        guard errorNumber == HPE_OK else { return }
        http_parser_pause(parser, 1)
    }

    func resume() {
        guard isPaused else { return }
        http_parser_pause(parser, 0)
    }

    private var isPaused: Bool { errorNumber == HPE_PAUSED }

    private var errorNumber: http_errno { http_errno(parser.pointee.http_errno) }

    private func execute(
        _ base: UnsafeRawPointer?, _ count: Int
    ) throws(HTTPParserError) -> Int {
        let taken = http_parser_execute(
            parser, Self.settings, base?.assumingMemoryBound(to: CChar.self), count)
        switch errorNumber {
        case HPE_OK, HPE_PAUSED: return taken
        case HPE_HEADER_OVERFLOW: throw .headTooLarge
        case HPE_INVALID_TRANSFER_ENCODING: throw .unknownTransferEncoding
        default: throw failure ?? .malformed
        }
    }

    // MARK: What the library says

    private func append(header bytes: UnsafeRawBufferPointer, isValue: Bool) -> Int32 {
        // Behind a chunked body there may be more of them; nobody asks for those.
        guard isReadingHead else { return 0 }
        if isValue {
            headers.append(value: bytes)
        } else {
            if isAtValue || headers.count == 0 { headers.startField() }
            headers.append(name: bytes)
        }
        isAtValue = isValue
        guard headers.count <= Self.maxHeaderCount else {
            failure = .headTooLarge
            return 1
        }
        return 0
    }

    private func finishHead() {
        // We never change protocols: what follows is read as HTTP.
        parser.pointee.upgrade = 0
        let head = HTTPHead(
            method: String(cString: http_method_str(http_method(parser.pointee.method))),
            target: String(decoding: target, as: UTF8.self),
            status: Int(parser.pointee.status_code),
            version: HTTPVersion(
                major: Int(parser.pointee.http_major), minor: Int(parser.pointee.http_minor)),
            headers: headers,
            bodyLength: bodyLength,
            keepsAlive: http_should_keep_alive(parser) != 0)
        target = []
        headers = HTTPHeaders()
        isReadingHead = false
        isAtValue = false
        sink?.parserDidRead(head)
    }

    private var bodyLength: HTTPHead.BodyLength {
        if parser.pointee.flags & UInt32(F_CHUNKED.rawValue) != 0 { return .unknown }
        guard parser.pointee.content_length != UInt64.max else { return .bytes(0) }
        return .bytes(Int(clamping: parser.pointee.content_length))
    }

    private func finishMessage() {
        isReadingHead = true
        sink?.parserDidReadMessage()
    }

    /// Our limit instead of the library's 80 KB. One for all parsers of the process, and every
    /// parser here sets the same.
    private static let headLimitIsSet: Void = http_parser_set_max_header_size(UInt32(maxHeadBytes))

    // SAFETY: written once, here, and only read by the library.
    nonisolated(unsafe) private static let settings: UnsafePointer<http_parser_settings> = {
        let settings = UnsafeMutablePointer<http_parser_settings>.allocate(capacity: 1)
        http_parser_settings_init(settings)
        settings.pointee.on_url = { parser, base, count in
            HTTPParser.behind(parser).target += HTTPParser.bytes(base, count)
            return 0
        }
        settings.pointee.on_header_field = { parser, base, count in
            HTTPParser.behind(parser).append(header: HTTPParser.bytes(base, count), isValue: false)
        }
        settings.pointee.on_header_value = { parser, base, count in
            HTTPParser.behind(parser).append(header: HTTPParser.bytes(base, count), isValue: true)
        }
        settings.pointee.on_headers_complete = { parser in
            HTTPParser.behind(parser).finishHead()
            return 0
        }
        settings.pointee.on_body = { parser, base, count in
            HTTPParser.behind(parser).sink?.parserDidRead(body: HTTPParser.bytes(base, count))
            return 0
        }
        settings.pointee.on_message_complete = { parser in
            HTTPParser.behind(parser).finishMessage()
            return 0
        }
        return UnsafePointer(settings)
    }()

    private static func behind(_ parser: UnsafeMutablePointer<http_parser>?) -> HTTPParser {
        // SAFETY: see init.
        Unmanaged.fromOpaque(parser!.pointee.data).takeUnretainedValue()
    }

    private static func bytes(_ base: UnsafePointer<CChar>?, _ count: Int) -> UnsafeRawBufferPointer
    {
        UnsafeRawBufferPointer(start: base, count: count)
    }
}

/// Whom a parser tells. Each call may pause it.
protocol HTTPParserSink: AnyObject {
    func parserDidRead(_ head: HTTPHead)
    func parserDidRead(body bytes: UnsafeRawBufferPointer)
    func parserDidReadMessage()
}

/// Why there is no reading on.
enum HTTPParserError: Error {
    case malformed
    case headTooLarge
    case unknownTransferEncoding
}
