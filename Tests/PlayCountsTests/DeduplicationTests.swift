import Foundation
import NSQWire
import TallyBasics
@testable import PlayCounts
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `A fingerprint` {
    /// The expected values are the output of `openssl mac -macopt
    /// hexkey:000102030405060708090a0b0c0d0e0f -macopt size:16 SIPHASH` for the bytes 0, 1, 2, ….
    @Test(arguments: [
        (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
        (8, "3b62a9ba6258f5610f83e264f31497b4"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        (16, "6ee2a4ca67b054bbfd3315bf85230577"), (40, "df6a301e95c95dad97ae0cc8c6913bd8"),
    ])
    func `matches the SipHash of OpenSSL`(length: Int, hex: String) {
        let hash = SipHash(key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
        let (low, high) = (0..<UInt8(length)).map { $0 }.withUnsafeBytes { hash.finish(with: $0) }
        let bytes = [low, high].flatMap { word in (0..<8).map { UInt8(word >> (8 * $0) & 255) } }
        #expect(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == hex)
    }

    @Test func `depends only on the IDs of a play that has a play ID`() {
        let play = Play(of: video(1), playID: .guid(video(2)))
        let seen = Set([
            fingerprint(play, message: 1), fingerprint(play, message: 2),
            fingerprint(play, message: 1, at: 7), fingerprint(play, message: 1, nsqd: "b:4150"),
        ])
        #expect(seen.count == 1)
        #expect(!seen.contains(fingerprint(Play(of: video(3), playID: play.playID), message: 1)))
        #expect(!seen.contains(fingerprint(Play(of: video(1), playID: nil), message: 1)))
        let text = Play(of: video(1), playID: .text(Array("a".utf8)))
        #expect(fingerprint(text, message: 1) == fingerprint(text, message: 2))
        #expect(fingerprint(text, message: 1) != fingerprint(play, message: 1))
    }

    @Test func `depends on the message if the play has no play ID`() {
        let play = Play(of: video(1))
        let first = fingerprint(play, message: 1)
        #expect(first == fingerprint(play, message: 1))
        #expect(first != fingerprint(play, message: 2))
        #expect(first != fingerprint(play, message: 1, at: 7))
        #expect(first != fingerprint(play, message: 1, nsqd: "b:4150"))
        #expect(first != fingerprint(play, message: 1, topic: "others"))
        #expect(first != fingerprint(play, message: 1, key: 9))
    }
}

@Suite(.blocking) struct `The deduplication window` {
    @Test(arguments: Seeds.all)
    func `contains exactly the inserted fingerprints`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var set = FingerprintSet()
        var model: Set<Fingerprint> = []
        for _ in 0..<20_000 {
            let fingerprint = numbered(generator.next(below: 15_000))
            #expect(set.contains(fingerprint) == model.contains(fingerprint), Seeds.comment(seed))
            let isNew = set.insert(fingerprint)
            #expect(isNew == model.insert(fingerprint).inserted, Seeds.comment(seed))
        }
        #expect(set.count == model.count)
    }

    @Test func `remembers fingerprints for the window, and at most twice as long`() {
        var settings = DeduplicationWindow.Settings()
        settings.window = .seconds(60)
        var counted = DeduplicationWindow(settings, at: .start)
        func isNew(_ number: Int, at seconds: Int) -> Bool {
            let wasInserted = counted.insert(numbered(number))
            _ = counted.takeBatch(at: .start + .seconds(seconds))
            return wasInserted
        }
        #expect(isNew(1, at: 0))
        #expect(isNew(2, at: 59))
        #expect(!isNew(1, at: 59))
        #expect(isNew(3, at: 61))
        // At 61 s the fingerprints 1 and 2 became the previous generation; at 119 s they still are.
        #expect(!isNew(2, at: 119))
        #expect(!isNew(1, at: 121))
        #expect(isNew(1, at: 122))
        #expect(isNew(2, at: 122))
    }

    @Test func `remembers at most the limit, and at least half of it`() {
        var settings = DeduplicationWindow.Settings()
        settings.limit = 1_000
        var counted = DeduplicationWindow(settings, at: .start)
        for number in 0..<10_000 {
            let isNew = counted.insert(numbered(number))
            #expect(isNew)
            if number % 10 == 9 { _ = counted.takeBatch(at: .start) }
            #expect(counted.count <= 1_000)
            #expect(counted.count >= min(number, 500))
            guard number >= 500 else { continue }
            let isOldNew = counted.insert(numbered(number - 499))
            #expect(!isOldNew)
        }
    }
}

@Suite(.blocking) struct `The store of fingerprints` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func `returns the committed fingerprints of two generations`() async throws {
        var settings = DeduplicationWindow.Settings()
        settings.limit = 200
        let path = folder.path("counts.sqlite")
        var key: Fingerprint?
        for run in 0..<10 {
            let store = try PlayStore(.file(path))
            var counted = try store.loadDeduplicationWindow(settings, at: .start)
            let fingerprinter = try store.loadFingerprinter()
            // The key stays the same, so that duplicates are recognized.
            let source = fingerprinter.source(nsqd: "a:4150", topic: plays)
            #expect(key == nil || key == source)
            key = source
            for number in max(0, run * 50 - 100)..<run * 50 {
                let isNew = counted.insert(numbered(number))
                #expect(!isNew, "\(number) in run \(run)")
            }
            #expect(counted.count <= 200)
            for number in run * 50..<run * 50 + 50 {
                let isNew = counted.insert(numbered(number))
                #expect(isNew)
                if number % 10 == 9 {
                    try await store.commit([], counted: counted.takeBatch(at: .start))
                }
            }
            try store.close()
        }
        let store = try PlayStore(.file(path))
        #expect(try store.fingerprintBatches() <= 2 * 10 + 2)
        try store.close()
    }

    @Test func `commits fingerprints and counts in one transaction`() async throws {
        let store = try PlayStore(.memory)
        var counted = try store.loadDeduplicationWindow(at: .start)
        _ = counted.insert(numbered(1))
        let addition = counted.takeBatch(at: .start)
        await #expect(throws: StoreError.self) {
            try await store.commit([change(1, count: 1), change(2, count: 0)], counted: addition)
        }
        #expect(try store.loadDeduplicationWindow(at: .start).count == 0)
        try await store.commit([change(1, count: 1)], counted: addition)
        #expect(try store.loadDeduplicationWindow(at: .start).count == 1)
    }

    @Test func `is added to a store of an earlier version, which keeps its counts`() throws {
        let store = try PlayStore(.file(folder.copy(ofStore: "1-counts")))
        #expect(try store.loadCounts().map(\.count).reduce(0, +) == 500)
        #expect(try store.loadDeduplicationWindow(at: .start).count == 0)
        try store.close()
    }
}

private func numbered(_ number: Int) -> Fingerprint {
    fingerprint(Play(of: video(0)), message: UInt64(number))
}

private func fingerprint(
    _ play: Play, message: UInt64, at timestamp: Int64 = 0, nsqd: String = "a:4150",
    topic: String = "plays", key: UInt64 = 0
) -> Fingerprint {
    var data: [UInt8] = []
    data.append(bigEndian: timestamp)
    data.append(bigEndian: UInt16(1))
    data += MessageID(message).bytes
    let fingerprinter = Fingerprinter(key: (key, 1))
    return data.withUnsafeBytes { bytes in
        fingerprinter.fingerprint(
            of: play, in: ReceivedMessage(data: bytes)!,
            from: fingerprinter.source(nsqd: nsqd, topic: TopicName(topic)!))
    }
}
