import NSQWire
import TestKit
import Testing

@Suite struct `A frame` {
    @Test func `consists of size, type and data`() {
        var out: [UInt8] = []
        Frame.append(.response, Frame.ok.bytes, to: &out)
        #expect(out == [0, 0, 0, 6, 0, 0, 0, 0, 0x4f, 0x4b])
    }

    @Test func `is decoded wherever its bytes are split`() throws {
        let frames = [
            OwnedFrame(kind: .response, data: Array("OK".utf8)),
            OwnedFrame(kind: .message, data: [UInt8](repeating: 7, count: 30)),
            OwnedFrame(kind: .response, data: []),
            OwnedFrame(kind: .error, data: Array("E_INVALID".utf8)),
        ]
        let bytes = written(frames)
        for split in 0...bytes.count {
            var decoder = FrameDecoder()
            var got = try decoder.feed(bytes[..<split])
            got += try decoder.feed(bytes[split...])
            #expect(got == frames, "split at \(split)")
            #expect(decoder.bufferedBytes == 0)
        }
        var decoder = FrameDecoder()
        #expect(try bytes.flatMap { try decoder.feed([$0]) } == frames)
    }

    @Test func `is decoded from chunks of any size`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let frames = (0..<Int.random(in: 0...10, using: &random)).map { _ in
                let count = Int.random(in: 0...300, using: &random)
                return OwnedFrame(
                    kind: Frame.Kind(rawValue: Int32.random(in: 0...2, using: &random))!,
                    data: (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
            var rest = written(frames)[...]
            var decoder = FrameDecoder()
            var got: [OwnedFrame] = []
            while !rest.isEmpty {
                let chunk = rest.prefix(Int.random(in: 1...200, using: &random))
                rest = rest.dropFirst(chunk.count)
                got += try decoder.feed(chunk)
            }
            #expect(got == frames, "\(random.repetition(of: "FrameTests"))")
        }
    }

    @Test(arguments: [Int32.min, -1, 0, 3, 11, .max])
    func `of an invalid size is rejected as soon as the size is received`(size: Int32) {
        var decoder = FrameDecoder(limit: 10)
        var bytes: [UInt8] = []
        bytes.append(bigEndian: size)
        #expect(throws: FrameError.badSize(size)) { try decoder.feed(bytes) }
    }

    @Test func `of 2 GB exceeds the default limit`() {
        var decoder = FrameDecoder()
        #expect(throws: FrameError.badSize(.max)) { try decoder.feed([0x7f, 0xff, 0xff, 0xff]) }
        var patient = FrameDecoder()
        #expect(throws: Never.self) { try patient.feed([0x0f, 0xff, 0xff, 0xff]) }
    }

    @Test(arguments: [Int32.min, -1, 3, 256])
    func `of an unknown type is rejected before its data`(kind: Int32) {
        var bytes: [UInt8] = [0, 0, 0, 6]
        bytes.append(bigEndian: kind)
        var decoder = FrameDecoder()
        #expect(throws: FrameError.badKind(kind)) { try decoder.feed(bytes) }
    }

    @Test func `before an invalid one is still decoded`() {
        let good = written([OwnedFrame(kind: .response, data: Array("OK".utf8))])
        var decoder = FrameDecoder()
        var got = 0
        #expect(throws: FrameError.badSize(0)) {
            try decoder.feed(good + [0, 0, 0, 0]) { _ in got += 1 }
        }
        #expect(got == 1)
    }

    private func written(_ frames: [OwnedFrame]) -> [UInt8] {
        var out: [UInt8] = []
        for frame in frames { Frame.append(frame.kind, frame.data, to: &out) }
        return out
    }
}

@Suite struct `A message frame` {
    @Test(arguments: [UInt16(1), 255, 256, 65_535])
    func `has big-endian fields at the documented offsets`(attempts: UInt16) throws {
        var frame = [UInt8](repeating: 0xee, count: MessageFrame.byteCount(bodyBytes: 3))
        let id = MessageID(0x0123_4567_89ab_cdef)
        frame.withUnsafeMutableBytes { frame in
            let halves = id.bytes.withUnsafeBytes {
                ($0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self))
            }
            MessageFrame.writeHeader(
                to: frame.baseAddress!, bodyBytes: 3, timestampNanoseconds: 0x0102_0304_0506_0708,
                id: halves)
            MessageFrame.writeAttempts(attempts, to: frame.baseAddress!)
        }
        #expect(
            frame == [0, 0, 0, 33, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]
                + [UInt8(attempts >> 8), UInt8(attempts & 0xff)]
                + Array("0123456789abcdef".utf8) + [0xee, 0xee, 0xee])
        var decoder = FrameDecoder()
        let data = try #require(try decoder.feed(frame).first).data
        try data.withUnsafeBytes { data in
            let message = try #require(ReceivedMessage(data: data))
            #expect(message.timestampNanoseconds == 0x0102_0304_0506_0708)
            #expect(message.attempts == attempts)
            #expect(message.id == id)
            #expect(Array(message.body) == [0xee, 0xee, 0xee])
        }
    }

    @Test func `has at least 26 bytes of data`() {
        for count in 0..<26 {
            #expect(
                [UInt8](repeating: 0, count: count).withUnsafeBytes {
                    ReceivedMessage(data: $0) == nil
                })
        }
        #expect(
            [UInt8](repeating: 0, count: 26).withUnsafeBytes {
                ReceivedMessage(data: $0)?.body.isEmpty == true
            })
    }
}
