import BrokerCore
import NSQWire
import TestTraits
import Testing

@testable import NSQBroker

@Suite(.blocking) struct `A journal record` {
    private static let plays = TopicName("plays")!
    private static let count = ChannelName("count")!

    static let changes: [LogRecord] = [
        .topicCreated(plays), .topicDeleted(plays), .topicPaused(plays, true),
        .topicPaused(plays, false), .topicEmptied(plays), .dispatched(plays),
        .channelCreated(plays, count), .channelDeleted(plays, count),
        .channelPaused(plays, count, true), .channelPaused(plays, count, false),
        .channelEmptied(plays, count),
        .finished(plays, count, [MessageRun(serial: 7 << 40, first: 65_535, count: 1)]),
        .delivered(
            plays, count,
            [MessageRun(serial: 7, first: 0, count: 12), MessageRun(serial: 8, first: 3, count: 2)]),
        .deliveriesUpdated(
            plays, count,
            [
                DeliveryRecord(serial: 9, index: 4, attempts: 65_535, due: 0),
                DeliveryRecord(serial: 9, index: 5, attempts: 2, due: 1_700_000_000_000_000_000),
            ], writtenAt: 1_699_999_999_000_000_000),
        .deliveriesUpdated(
            plays, count, [DeliveryRecord(serial: 9, index: 4, attempts: 1, due: 0)],
            writtenAt: nil),
    ]

    @Test(arguments: changes)
    func `is decoded to the encoded change`(change: LogRecord) throws {
        var writer = RecordPayloadEncoder()
        let kind = writer.append(change)
        #expect(try read(writer.finish(), kind).change == change)
    }

    @Test func `is decoded to the encoded topics and channels`() throws {
        let topics = [
            TopicSnapshot(name: Self.plays, isPaused: true, channels: []),
            TopicSnapshot(
                name: TopicName("likes")!, isPaused: false,
                channels: [.init(name: Self.count, isPaused: true)]),
        ]
        var writer = RecordPayloadEncoder()
        writer.append(topics)
        guard case .topics(let found) = try read(writer.finish(), .topics) else {
            Issue.record("another kind")
            return
        }
        #expect(found == topics)
    }

    @Test(arguments: changes)
    func `that is truncated is rejected or shorter, and is never read past its end`(
        change: LogRecord
    ) {
        var writer = RecordPayloadEncoder()
        let kind = writer.append(change)
        let payload = writer.finish()
        for count in 0..<payload.count {
            // An allocation of exactly this size lets the address sanitizer detect reads past it.
            let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
            defer { exact.deallocate() }
            exact.copyBytes(from: payload[..<count])
            #expect(DecodedRecord(kind, Bytes(exact))?.change != change)
        }
    }

    private static let limit = 4_611_686_018_427_387_904
    private static let numbers: [(serial: UInt64, firstOrdinal: Int64, isValid: Bool)] = [
        (7, 9, true), (7, -1, false), (7, Int64.max, false), (7, Int64(limit), false),
        (UInt64.max, 9, false), (UInt64(limit), 9, false),
        (UInt64(limit) - 1, Int64(limit) - 1, true),
    ]

    @Test(arguments: numbers)
    func `of messages is rejected if its numbers could overflow`(
        serial: UInt64, firstOrdinal: Int64, isValid: Bool
    ) {
        var payload: [UInt8] = [5] + Array("plays".utf8)
        payload.append(little: serial)
        payload.append(little: firstOrdinal)
        payload.append(little: UInt32(0))
        payload.append(little: UInt32(0))
        let record = payload.withUnsafeBytes { DecodedRecord(.published, $0) }
        #expect((record != nil) == isValid)
    }

    private func read(_ payload: [UInt8], _ kind: RecordKind) throws -> DecodedRecord {
        try #require(payload.withUnsafeBytes { DecodedRecord(kind, $0) })
    }
}

extension DecodedRecord {
    fileprivate var change: LogRecord? {
        if case .change(let change) = self { change } else { nil }
    }
}
