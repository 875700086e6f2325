import LivePage
import NSQWire
import Testing
import UVLoop

@testable import tally

@Suite struct `The command line on a page without counts` {
    @Test(arguments: [
        ("127.0.0.1:4150", "plays", "--nsqd-tcp-address=127.0.0.1:4150"),
        ("127.0.0.1:4150", "views", "--nsqd-tcp-address=127.0.0.1:4150 --topic=views"),
        ("[::1]:4150", "a#ephemeral", "'--nsqd-tcp-address=[::1]:4150' '--topic=a#ephemeral'"),
    ])
    func `can be pasted into a shell`(address: String, topic: String, flags: String) throws {
        var settings = PageSettings()
        settings.setProduceCommand(
            nsqd: try SocketAddress(parsing: address), topic: TopicName(unchecked: topic))
        #expect(settings.produceCommand == "tally produce \(flags) --plays=6000 --rate=100")
    }

    @Test func `is absent if the address of the nsqd is unknown`() {
        var settings = PageSettings()
        settings.setProduceCommand(nsqd: nil, topic: TopicName(unchecked: "plays"))
        #expect(settings.produceCommand == nil)
    }
}
