import NSQWire
import TestKit
import Testing

@Suite struct `A recorded conversation with nsqd` {
    @Test(arguments: try Transcript.all())
    func `contains commands that are parsed or rejected with nsqd's error text`(
        transcript: Transcript
    ) {
        let outcome = readCommands(of: transcript)
        if let text = transcript.fatalError {
            if isOfParsing(text) {
                #expect(outcome == .refused(text))
            } else if !isOfState(text) {
                #expect(outcome == .read)
            }
        } else if transcript.frames.isEmpty, transcript.brokerCloses, !transcript.clientEnds {
            #expect(outcome == .lineTooLong)
        } else {
            #expect(outcome == .read)
        }
    }

    @Test(arguments: try Transcript.all())
    func `contains frames that are decoded and encoded to the same bytes`(transcript: Transcript)
        throws
    {
        for (kind, text) in transcript.frames {
            let data = text.bytes()
            var bytes: [UInt8] = []
            let frameKind = try #require(Frame.Kind(rawValue: kind.rawValue))
            Frame.append(frameKind, data, to: &bytes)
            var decoder = FrameDecoder()
            #expect(try decoder.feed(bytes) == [OwnedFrame(kind: frameKind, data: data)])
            if kind == .message { #expect(try rewrittenMessage(data) == bytes) }
        }
    }

    @Test(arguments: try Transcript.all())
    func `contains responses to IDENTIFY that are parsed and written with the same fields`(
        transcript: Transcript
    ) throws {
        for (_, text) in transcript.frames where text.pieces.contains(.anything) {
            let answer = try text.bytes().withUnsafeBytes {
                try #require(IdentifyResponse(parsing: $0))
            }
            var met = WireText.Met()
            #expect(text.matches(answer.json, met: &met))
        }
    }

    @Test func `covers every command and every error code`() throws {
        let said = try Transcript.all()
        let errors = said.flatMap(\.frames).filter { $0.kind == .error }.map {
            String(decoding: $0.text.bytes(), as: UTF8.self)
        }
        // No recording has these errors, because a publish fails only if its topic is deleted at the
        // same time.
        let rare: [ProtocolError.Code] = [
            .publishFailed, .multiPublishFailed, .deferredPublishFailed,
        ]
        for code in ProtocolError.Code.allCases where !rare.contains(code) {
            #expect(errors.contains { $0.hasPrefix(code.rawValue) }, "\(code.rawValue)")
        }
        for verb in Verb.allCases {
            #expect(
                said.contains { String(decoding: $0.sent, as: UTF8.self).contains(verb.rawValue) })
        }
    }

    // MARK: - Parsing without a broker

    private enum Outcome: Equatable {
        /// All complete commands were parsed, up to the first body of an invalid size.
        case read
        case refused(String)
        case lineTooLong
    }

    /// Parses the client's bytes without a broker's state. Each command must also be parsed back from
    /// its written form.
    private func readCommands(of transcript: Transcript) -> Outcome {
        let magic = Array("\(Command.magic)".utf8)
        guard transcript.sent.count >= magic.count else { return .read }
        guard transcript.sent.starts(with: magic) else {
            return .refused(ProtocolError(bare: .badProtocol).description)
        }
        return transcript.sent.withUnsafeBytes { bytes in
            var offset = Command.magicBytes
            var isClosing = false
            while true {
                switch CommandLine.next(in: bytes, at: &offset) {
                case .incomplete: return .read
                case .tooLong: return .lineTooLong
                case .line(let line):
                    // After CLS nsqd ignores the count.
                    if line.verb == .ready, isClosing { continue }
                    do throws(ProtocolError) {
                        let command = try Command(parsing: line)
                        let again = command.line.dropLast()
                        #expect(try Command.parse(Array(again)) == command)
                        isClosing = isClosing || command == .close
                        guard try readBody(of: command, in: bytes, at: &offset) else {
                            return .read
                        }
                    } catch {
                        return .refused(error.description)
                    }
                }
            }
        }
    }

    /// - Returns: `false` if the body is incomplete or of an invalid size.
    private func readBody(
        of command: Command, in bytes: Bytes, at offset: inout Int
    ) throws(ProtocolError) -> Bool {
        switch command {
        case .identify:
            guard let body = sized(bytes, at: &offset) else { return false }
            _ = try Identify(parsing: body)
            return true
        case .authenticate, .publish, .deferredPublish:
            return sized(bytes, at: &offset) != nil
        case .multiPublish:
            // nsqd uses the count and the sizes and ignores the total.
            guard bytes.count - offset >= 8 else { return false }
            let count = bytes.bigEndian(at: offset + 4, as: Int32.self)
            offset += 8
            return count > 0 && (0..<count).allSatisfy { _ in sized(bytes, at: &offset) != nil }
        default: return true
        }
    }

    private func sized(_ bytes: Bytes, at offset: inout Int) -> Bytes? {
        guard bytes.count - offset >= 4 else { return nil }
        let size = Int(bytes.bigEndian(at: offset, as: Int32.self))
        guard size > 0, bytes.count - offset - 4 >= size else { return nil }
        offset += 4 + size
        return bytes.view(offset - size..<offset)
    }

    /// Returns `true` if the error depends only on the line or the JSON.
    private func isOfParsing(_ text: String) -> Bool {
        text == "E_BAD_PROTOCOL"
            || [
                "invalid command ", "insufficient number of ", "invalid number of parameters",
                "could not parse ", "invalid message ID", "is not valid",
                "failed to decode JSON body",
            ].contains { text.contains($0) }
    }

    /// Returns `true` if the error depends on the state of the session, so that nsqd did not check the
    /// parameters.
    private func isOfState(_ text: String) -> Bool {
        text.contains("in current state") || text.contains("with heartbeats disabled")
    }

    /// Parses a message and encodes it as a frame again.
    private func rewrittenMessage(_ data: [UInt8]) throws -> [UInt8] {
        try data.withUnsafeBytes { data in
            let message = try #require(ReceivedMessage(data: data))
            var frame = [UInt8](
                repeating: 0, count: MessageFrame.byteCount(bodyBytes: message.body.count))
            frame.withUnsafeMutableBytes { frame in
                let id = message.id.bytes.withUnsafeBytes {
                    ($0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self))
                }
                MessageFrame.writeHeader(
                    to: frame.baseAddress!, bodyBytes: message.body.count,
                    timestampNanoseconds: message.timestampNanoseconds, id: id)
                MessageFrame.writeAttempts(message.attempts, to: frame.baseAddress!)
                frame[MessageFrame.bodyOffset...].copyBytes(from: message.body)
            }
            return frame
        }
    }
}
