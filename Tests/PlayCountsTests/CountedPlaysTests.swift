import Foundation
import NSQWire
@testable import PlayCounts
import TestKit
import Testing

@Suite struct `A fingerprint` {
    /// By `openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt size:16 SIPHASH`
    /// of the bytes 0, 1, 2 and so on.
    @Test(arguments: [
        (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
        (8, "3b62a9ba6258f5610f83e264f31497b4"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        (16, "6ee2a4ca67b054bbfd3315bf85230577"), (40, "df6a301e95c95dad97ae0cc8c6913bd8"),
    ])
    func `is a SipHash as others make it`(length: Int, hex: String) {
        let hash = SipHash(key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
        let (low, high) = (0..<UInt8(length)).map { $0 }.withUnsafeBytes { hash.finish(with: $0) }
        let bytes = [low, high].flatMap { word in (0..<8).map { UInt8(word >> (8 * $0) & 255) } }
        #expect(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == hex)
    }

    @Test func `is the play's own, whichever way it comes`() {
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

    @Test func `is the message's where the play has no name`() {
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

@Suite struct `The plays counted` {
    @Test(arguments: Seeds.all)
    func `are each known again, and no others`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var set = FingerprintSet()
        var model: Set<Fingerprint> = []
        for _ in 0..<20_000 {
            let fingerprint = numbered(generator.next(below: 15_000))
            #expect(set.contains(fingerprint) == model.contains(fingerprint), Seeds.again(seed))
            let isNew = set.insert(fingerprint)
            #expect(isNew == model.insert(fingerprint).inserted, Seeds.again(seed))
        }
        #expect(set.count == model.count)
    }

    @Test func `are remembered for the window, and twice as long at most`() {
        var settings = CountedPlays.Settings()
        settings.window = .seconds(60)
        var counted = CountedPlays(settings, at: .start)
        func comes(_ number: Int, at seconds: Int) -> Bool {
            let isNew = counted.insert(numbered(number))
            _ = counted.takeAddition(at: .start + .seconds(seconds))
            return isNew
        }
        #expect(comes(1, at: 0))
        #expect(comes(2, at: 59))
        #expect(!comes(1, at: 59))
        #expect(comes(3, at: 61))
        // 1 and 2 have become the older ones, 119 s on they are that still.
        #expect(!comes(2, at: 119))
        #expect(!comes(1, at: 121))
        #expect(comes(1, at: 122))
        #expect(comes(2, at: 122))
    }

    @Test func `are as many as the limit at most, and half of it at least`() {
        var settings = CountedPlays.Settings()
        settings.limit = 1_000
        var counted = CountedPlays(settings, at: .start)
        for number in 0..<10_000 {
            let isNew = counted.insert(numbered(number))
            #expect(isNew)
            if number % 10 == 9 { _ = counted.takeAddition(at: .start) }
            #expect(counted.count <= 1_000)
            #expect(counted.count >= min(number, 500))
            guard number >= 500 else { continue }
            let isOldNew = counted.insert(numbered(number - 499))
            #expect(!isOldNew)
        }
    }
}

@Suite struct `A store of the plays counted` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func `gives back what was committed, of two generations`() async throws {
        var settings = CountedPlays.Settings()
        settings.limit = 200
        let path = folder.path("counts.sqlite")
        var key: Fingerprint?
        for run in 0..<10 {
            let store = try PlayStore(.file(path))
            var (counted, taker) = try store.loadCounted(settings, at: .start)
            // The secret stays, or nothing would be known again.
            let source = taker.source(nsqd: "a:4150", topic: plays)
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
                    try await store.commit([], counted: counted.takeAddition(at: .start))
                }
            }
            try store.close()
        }
        let store = try PlayStore(.file(path))
        #expect(try store.rememberedBatches() <= 2 * 10 + 2)
        try store.close()
    }

    @Test func `counts a batch's plays together with its counts, or not at all`() async throws {
        let store = try PlayStore(.memory)
        var (counted, _) = try store.loadCounted(at: .start)
        _ = counted.insert(numbered(1))
        let addition = counted.takeAddition(at: .start)
        await #expect(throws: StoreError.self) {
            try await store.commit([change(1, count: 1), change(2, count: 0)], counted: addition)
        }
        #expect(try store.loadCounted(at: .start).0.count == 0)
        try await store.commit([change(1, count: 1)], counted: addition)
        #expect(try store.loadCounted(at: .start).0.count == 1)
    }

    @Test func `is made in a store from before, and the counts stay`() throws {
        let store = try PlayStore(.file(folder.copy(ofStore: "1-counts")))
        #expect(try store.load().map(\.count).reduce(0, +) == 500)
        #expect(try store.loadCounted(at: .start).0.count == 0)
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
    let taker = Fingerprint.Taker(key: (key, 1))
    return data.withUnsafeBytes { bytes in
        taker.fingerprint(
            of: play, in: ReceivedMessage(data: bytes)!,
            from: taker.source(nsqd: nsqd, topic: TopicName(topic)!))
    }
}
