import Logging
import NSQClient
import NSQWire
import PlayCounts
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage

@Suite(.blocking) struct `A page that observes a processor` {
    private let loop: Loop
    private let processor: PlayProcessor

    init() throws {
        loop = try Loop()
        let nsqd = SocketAddress(host: "127.0.0.1", port: 1)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let topic = TopicName("plays")!
        let consumer = ConsumerEngine(
            on: loop, topic: topic, channel: ChannelName("counts")!, nsqds: [nsqd],
            options: Consumer.Options(), logger: logger)
        let rejects = RejectedPlays(of: topic, consumer: consumer, logger: logger) { [loop] in
            ProducerEngine(on: loop, nsqd: $0, logger: logger)
        }
        processor = try PlayProcessor(
            on: loop, consumer: consumer, rejects: rejects!, store: PlayStore(.memory),
            clients: [], logger: logger)
    }

    @Test func `shows its commits and errors, and calls the earlier observer, too`() async throws {
        let page = try await TestPage.start()
        var committed: [Int] = []
        var errors: [StoreError?] = []
        processor.observer.committed = { changes, _ in committed += changes.map(\.count) }
        processor.observer.storeChanged = { errors.append($0) }
        page.page.observe(processor)

        let change = CountChange(
            videoID: video(1), count: 3, arrival: loop.instant, isImmediate: true)
        processor.observer.committed([change], loop.instant)
        let failure = StoreError(.full, path: "store.sqlite")
        processor.observer.storeChanged(failure)
        #expect(committed == [3])
        #expect(errors == [failure])
        let isShown: (StateJSON) -> Bool = {
            $0.statistics.problem == "\(failure)" && $0.statistics.calls.least == 1
        }
        #expect(isShown(try page.state(where: isShown)))
        processor.observer.storeChanged(nil)
        #expect(errors == [failure, nil])
        let isWorking: (StateJSON) -> Bool = { $0.statistics.problem == nil }
        #expect(isWorking(try page.state(where: isWorking)))
        await page.page.stop()
        loop.close()
    }
}
