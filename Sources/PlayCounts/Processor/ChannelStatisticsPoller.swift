import HTTP
import NSQWire
import TallyBasics
import UVLoop

/// Reads the statistics of the processor's channel from the HTTP APIs of nsqds: first a second
/// after the start, then at growing intervals up to five seconds.
///
/// An nsqd whose statistics cannot be read is ignored until they can be read again.
package final class ChannelStatisticsPoller {
    private let topic: TopicName
    private let channel: ChannelName
    private let nsqds: [HTTPURL]
    private let client: HTTPClient
    private let timer: Timer
    private var calls: [HTTPClientRequest] = []
    private var delay = Duration.seconds(1)
    private var queues: [SocketAddress: ChannelDepth] = [:]

    /// Called with the statistics of one nsqd.
    package var onStatistics: (NSQDChannelStatistics, HTTPURL) -> Void = { _, _ in }
    /// Called with the sum over all nsqds; `nil` if no statistics can be read.
    package var onQueueState: (ChannelDepth?) -> Void = { _ in }

    /// - Parameter nsqds: the addresses of the HTTP APIs.
    package init(on loop: Loop, nsqds: [HTTPURL], topic: TopicName, channel: ChannelName) {
        self.nsqds = nsqds
        self.topic = topic
        self.channel = channel
        client = HTTPClient(on: loop)
        timer = Timer(on: loop)
    }

    /// Starts to read the statistics.
    package func start() {
        guard !nsqds.isEmpty else { return }
        timer.start(after: delay) { [weak self] in
            guard let self else { return }
            delay = min(delay * 2, .seconds(5))
            poll()
            start()
        }
    }

    /// Stops reading.
    package func close() {
        timer.close()
        for call in calls { call.cancel() }
        calls = []
    }

    private func poll() {
        // Requests of the last poll that are still in progress are obsolete.
        for call in calls { call.cancel() }
        calls = nsqds.map { nsqd in
            var url = nsqd
            url.target = "/stats"
            for (name, value) in [
                ("format", "json"), ("topic", topic.text), ("channel", channel.text),
            ] { url.append(name, value) }
            return client.get(url) { [weak self] result in
                var statistics: NSQDChannelStatistics?
                if case .success(let response) = result, response.status == 200 {
                    statistics = NSQDChannelStatistics(parsing: response.body)
                }
                self?.didRead(statistics, of: nsqd)
            }
        }
    }

    private func didRead(_ statistics: NSQDChannelStatistics?, of nsqd: HTTPURL) {
        queues[nsqd.address] = statistics?.queue
        if let statistics { onStatistics(statistics, nsqd) }
        onQueueState(queues.isEmpty ? nil : ChannelDepth(sum: queues.values))
    }
}
