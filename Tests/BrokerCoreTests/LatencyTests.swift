import NSQWire
import TallyBasics
import Testing

@testable import BrokerCore

@Suite struct `The latency statistics` {
    let broker = TestBroker { $0.latencyPercentiles = [1, 0.5] }

    private func value(_ latency: LatencyStatistics?, _ quantile: Double) -> Duration? {
        latency?.percentiles?.first { $0.quantile == quantile }
            .map { .nanoseconds($0.nanoseconds) }
    }

    @Test func `count messages for each channel, and for the topic in total`() {
        let quick = broker.consumer(ready: 10)
        let slow = broker.consumer(of: .archive, ready: 10)
        broker.client().multiPublish(["one", "two", "three"])
        broker.pass(.seconds(2))
        quick.finish(quick.takeMessages())
        broker.pass(.seconds(18))
        slow.finish(slow.takeMessages())
        let first = broker.channel()?.latency
        #expect(first?.count == 3)
        #expect(value(first, 1) == .seconds(2))
        #expect(value(broker.channel(.archive)?.latency, 0.5) == .seconds(20))
        let all = broker.topic()?.latency
        #expect(all?.count == 6)
        #expect(value(all, 1) == .seconds(20))
        #expect(abs((value(all, 0.5) ?? .zero) / .seconds(2) - 1) < 0.01)
    }

    @Test func `measure the time since the publish, with timeouts and delays`() {
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("later", after: .seconds(5))
        broker.pass(.seconds(5))
        consumer.requeue(consumer.takeMessages()[0], after: .seconds(5))
        broker.pass(.seconds(5))
        consumer.finish(consumer.takeMessages())
        #expect(value(broker.channel()?.latency, 1) == .seconds(10))
    }

    @Test func `exclude messages older than the window`() {
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("one")
        consumer.finish(consumer.takeMessages())
        broker.pass(.seconds(299))
        #expect(broker.channel()?.latency.count == 1)
        broker.pass(.seconds(301))
        #expect(broker.channel()?.latency.count == 0)
        #expect(value(broker.channel()?.latency, 1) == .zero)
    }

    @Test func `are empty if no percentiles are requested`() {
        let broker = TestBroker()
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("one")
        consumer.finish(consumer.takeMessages())
        #expect(broker.channel()?.latency == LatencyStatistics([], broker.core.context))
        #expect(broker.channel()?.latency.percentiles == nil)
    }

    @Test(arguments: [0, 1, 127, 128, 255, 256, 12_345, 1_000_000, 60_000_000_000, Int64.max])
    func `have an error below one percent`(nanoseconds: Int64) {
        var histogram = LatencyHistogram()
        histogram.add(nanoseconds)
        #expect(histogram.nanoseconds(at: 1) == nanoseconds)
        if nanoseconds < .max { histogram.add(.max / 2) }
        let told = histogram.nanoseconds(at: 0.5)
        #expect(told >= nanoseconds)
        #expect(Double(told) <= Double(nanoseconds) * 1.01)
    }

    @Test func `contain percentiles that are at least the duration of that part of all messages`() {
        var histogram = LatencyHistogram()
        for number in 1...1000 { histogram.add(Int64(number) * 1_000_000) }
        for (quantile, milliseconds) in [(0.5, 500.0), (0.99, 990), (0.001, 1), (1, 1000)] {
            let told = Double(histogram.nanoseconds(at: quantile)) / 1e6
            #expect(abs(told / milliseconds - 1) < 0.01)
        }
    }

    @Test func `advance by half a window`() {
        let window = LatencyWindow(length: .seconds(10), at: 0)
        let second: Int64 = 1_000_000_000
        window.add(1, at: 4 * second)
        window.add(2, at: 6 * second)
        #expect(window.histogram(at: 9 * second).count == 2)
        #expect(window.histogram(at: 11 * second).count == 1)
        #expect(window.histogram(at: 16 * second).count == 0)
        window.add(3, at: 100 * second)
        #expect(window.histogram(at: 104 * second).count == 1)
        #expect(window.histogram(at: 1000 * second).count == 0)
    }
}
