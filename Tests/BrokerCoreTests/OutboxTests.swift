import NSQWire
import Testing

@testable import BrokerCore

@Suite struct `An outbox` {
    @Test func `is drained in portions of any size`() {
        let slab = SlabPool().slab(of: 4096)
        for offset in 0..<4096 {
            slab.base.storeBytes(of: UInt8(offset % 251), toByteOffset: offset, as: UInt8.self)
        }
        var outbox = Outbox()
        var expected: [UInt8] = []
        for number in 0..<40 {
            let range = number * 100..<number * 100 + 70
            outbox.append(slab, range)
            expected += range.map { UInt8($0 % 251) }
            let own = (0..<number).map { UInt8($0) }
            outbox.append(own)
            expected += own
        }
        var drained: [UInt8] = []
        var portion = 0
        while !outbox.isEmpty {
            portion += 1
            let before = drained.count
            let count = outbox.drain(atMost: portion) { drained += $0 }
            #expect(count == drained.count - before)
            #expect(count == portion || outbox.isEmpty)
        }
        #expect(drained == expected)
        #expect(outbox.drain { _ in Issue.record("there is nothing") } == 0)
    }
}
