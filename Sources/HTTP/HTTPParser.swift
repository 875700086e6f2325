import CHTTPParser
import Glibc

/// Parses HTTP/1 messages that arrive in parts of any size. Only this file uses the http_parser
/// library.
///
/// The library checks the grammar and finds the end of each message. `HTTPParser` assembles heads,
/// and calls its delegate while ``parse(_:)`` runs.
final class HTTPParser {
    enum Kind {
        case requests
        case responses
    }

    weak var delegate: (any HTTPParserDelegate)?

    private let kind: Kind
    private let parser = UnsafeMutablePointer<http_parser>.allocate(capacity: 1)
    private var target: [UInt8] = []
    private var headers = HTTPHeaders()
    private var isReadingHead = true
    private var isAtValue = false
    private var failure: HTTPParserError?

    /// The maximum size of a request line in bytes.
    static let maxRequestLineBytes = 16 << 10
    /// The maximum size of all header fields in bytes, each with its colon and line end.
    static let maxHeaderBytes = 64 << 10
    /// The maximum size of a head, and of a chunked body's trailer, in bytes, including white space
    /// that belongs to no field.
    private static let maxHeadBytes = maxRequestLineBytes + maxHeaderBytes + 4_096
    /// The maximum number of header fields. The limit exists because each field occupies memory in
    /// addition to its bytes.
    static let maxHeaderCount = 1024

    init(_ kind: Kind) {
        self.kind = kind
        _ = Self.headLimitIsSet
        http_parser_init(parser, kind == .requests ? HTTP_REQUEST : HTTP_RESPONSE)
        // SAFETY: the library does not retain this object. It calls back only during `parse` and
        // `finish`, when the caller retains the object, and `deinit` frees the library's memory.
        parser.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        if kind == .responses { parser.pointee.allow_chunked_length = 1 }
    }

    deinit { parser.deallocate() }

    /// Parses `bytes`.
    ///
    /// - Returns: the number of parsed bytes: all of them, unless the delegate has paused the parser.
    func parse(_ bytes: UnsafeRawBufferPointer) throws(HTTPParserError) -> Int {
        // The library would treat zero bytes as the end of the connection.
        guard !bytes.isEmpty, !isPaused else { return 0 }
        return try execute(bytes.baseAddress, bytes.count)
    }

    /// Handles the end of the connection, which completes a response without `Content-Length`.
    func finish() throws(HTTPParserError) {
        _ = try execute(nil, 0)
    }

    /// Stops parsing after the current call of the delegate.
    func pause() {
        // The library aborts the process if a failed parser is paused.
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

    // MARK: Callbacks of the library

    private func append(target bytes: UnsafeRawBufferPointer) -> Int32 {
        target += bytes
        let method = http_method_str(http_method(parser.pointee.method))
        let others = strlen(method!) + "  HTTP/1.1".utf8.count
        guard target.count + others <= Self.maxRequestLineBytes else {
            failure = .requestLineTooLong
            return 1
        }
        return 0
    }

    private func append(header bytes: UnsafeRawBufferPointer, isValue: Bool) -> Int32 {
        // The trailer fields after a chunked body are ignored.
        guard isReadingHead else { return 0 }
        if isValue {
            headers.append(value: bytes)
        } else {
            if isAtValue || headers.count == 0 { headers.startField() }
            headers.append(name: bytes)
        }
        isAtValue = isValue
        guard headers.count <= Self.maxHeaderCount, headers.byteCount <= Self.maxHeaderBytes else {
            failure = .headTooLarge
            return 1
        }
        // The library refuses a second `Content-Length`. For a response, the flag is cleared, so that
        // `finishHead` can accept equal lengths.
        if kind == .responses, isValue { parser.pointee.flags &= ~UInt32(F_CONTENTLENGTH.rawValue) }
        return 0
    }

    /// Validates the complete head, and passes it to the delegate.
    ///
    /// - Returns: the next action of the library: 0 reads the body, 1 skips it, -1 fails.
    private func finishHead() -> Int32 {
        // The library accepts blanks in the name of a field. nsqd does not, because two readers could
        // interpret a field such as `Content-Length : 1` differently.
        guard headers.hasValidNames else {
            failure = .invalidHeaderName
            return -1
        }
        if kind == .requests, parser.pointee.http_major == 1, parser.pointee.http_minor == 0 {
            // HTTP/1.0 has no transfer encoding. As in nsqd, the header is ignored.
            parser.pointee.flags &= ~UInt32(F_CHUNKED.rawValue)
            parser.pointee.uses_transfer_encoding = 0
        }
        // The server ignores `Upgrade` requests, so the bytes after the head are parsed as HTTP.
        parser.pointee.upgrade = 0
        let isBodyless = kind == .responses && Self.hasNoBody(Int(parser.pointee.status_code))
        let lengths = headers.values(of: "Content-Length")
        guard kind == .requests || Set(lengths).count <= 1 else { return -1 }
        let isChunked = parser.pointee.flags & UInt32(F_CHUNKED.rawValue) != 0
        let head = HTTPHead(
            method: String(cString: http_method_str(http_method(parser.pointee.method))),
            target: String(decoding: target, as: UTF8.self),
            status: Int(parser.pointee.status_code),
            version: HTTPVersion(
                major: Int(parser.pointee.http_major), minor: Int(parser.pointee.http_minor)),
            headers: headers,
            bodyLength: isBodyless ? .bytes(0) : bodyLength,
            // A server that sends both `Content-Length` and chunks may have lost track of its
            // connection, so the connection is not reused (RFC 9112, section 6.1).
            keepsAlive: http_should_keep_alive(parser) != 0
                && (lengths.isEmpty || !isChunked || kind == .requests))
        target = []
        headers = HTTPHeaders()
        isReadingHead = false
        isAtValue = false
        delegate?.parserDidRead(head)
        return isBodyless ? 1 : 0
    }

    /// Whether a response with this status ends with its head, whatever its header fields say
    /// (RFC 9112, section 6.3). The client sends no HEAD requests, whose responses have no body
    /// either.
    private static func hasNoBody(_ status: Int) -> Bool {
        status < 200 || status == 204 || status == 304
    }

    private var bodyLength: HTTPHead.BodyLength {
        let isEncoded = kind == .responses && parser.pointee.uses_transfer_encoding != 0
        if isEncoded || parser.pointee.flags & UInt32(F_CHUNKED.rawValue) != 0 { return .unknown }
        guard parser.pointee.content_length != UInt64.max else { return .bytes(0) }
        return .bytes(Int(clamping: parser.pointee.content_length))
    }

    private func finishMessage() {
        isReadingHead = true
        delegate?.parserDidReadMessage()
    }

    /// Replaces the library's limit of 80 KB. The limit is global to the process.
    private static let headLimitIsSet: Void = http_parser_set_max_header_size(UInt32(maxHeadBytes))

    // SAFETY: this closure initializes the settings once, and the library only reads them.
    nonisolated(unsafe) private static let settings: UnsafePointer<http_parser_settings> = {
        let settings = UnsafeMutablePointer<http_parser_settings>.allocate(capacity: 1)
        http_parser_settings_init(settings)
        settings.pointee.on_url = { parser, base, count in
            HTTPParser.object(of: parser).append(target: HTTPParser.bytes(base, count))
        }
        settings.pointee.on_header_field = { parser, base, count in
            HTTPParser.object(of: parser).append(
                header: HTTPParser.bytes(base, count), isValue: false)
        }
        settings.pointee.on_header_value = { parser, base, count in
            HTTPParser.object(of: parser).append(
                header: HTTPParser.bytes(base, count), isValue: true)
        }
        settings.pointee.on_headers_complete = { parser in
            HTTPParser.object(of: parser).finishHead()
        }
        settings.pointee.on_body = { parser, base, count in
            HTTPParser.object(of: parser).delegate?.parserDidRead(
                body: HTTPParser.bytes(base, count))
            return 0
        }
        settings.pointee.on_message_complete = { parser in
            HTTPParser.object(of: parser).finishMessage()
            return 0
        }
        return UnsafePointer(settings)
    }()

    private static func object(of parser: UnsafeMutablePointer<http_parser>?) -> HTTPParser {
        // SAFETY: `init` sets the pointer to the parser object, which lives as long as the
        // library's parser.
        Unmanaged.fromOpaque(parser!.pointee.data).takeUnretainedValue()
    }

    private static func bytes(_ base: UnsafePointer<CChar>?, _ count: Int) -> UnsafeRawBufferPointer
    {
        UnsafeRawBufferPointer(start: base, count: count)
    }
}

/// Receives the parts of HTTP messages. Each method may pause the parser.
protocol HTTPParserDelegate: AnyObject {
    /// Receives a complete head.
    func parserDidRead(_ head: HTTPHead)
    /// Receives bytes of the body, valid during the call only.
    func parserDidRead(body bytes: UnsafeRawBufferPointer)
    /// Runs when the message is complete.
    func parserDidReadMessage()
}

/// The reason why a message cannot be parsed.
enum HTTPParserError: Error {
    case malformed
    case requestLineTooLong
    case headTooLarge
    case invalidHeaderName
    case unknownTransferEncoding
}
