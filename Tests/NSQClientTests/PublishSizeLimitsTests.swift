import NSQWire
import Testing

@testable import NSQClient

@Suite struct `The limits of publishes to an nsqd` {
    /// The length of a message is a signed 32-bit number on the wire.
    @Test(arguments: ["1", "1048576", "2147483647", "2147483648", "9223372036854775807"])
    func `are read from its error and are never above the protocol's`(text: String) throws {
        let limit = min(try #require(Int(text)), Int(Int32.max))
        var limits = PublishSizeLimits()
        limits.learn(
            from: .refused(address: "n", response: "E_BAD_MESSAGE PUB message too big 3 > \(text)"))
        #expect(limits.messageBytes == limit)
        limits.learn(
            from: .refused(address: "n", response: "E_BAD_BODY MPUB body too big 3 > \(text)"))
        #expect(limits.batchBytes == limit)
    }

    @Test(arguments: ["0", "-1", "9223372036854775808", "many", ""])
    func `are unchanged by an error without a valid number`(text: String) {
        var limits = PublishSizeLimits()
        limits.learn(
            from: .refused(address: "n", response: "E_BAD_MESSAGE PUB message too big 3 > \(text)"))
        #expect(limits.messageBytes == Int(Int32.max))
    }
}
