/// The depth and the rates of the cluster, of its topics and of its channels over the last day. A
/// pure value: no I/O and no clock.
package struct ClusterHistory: Sendable {
    /// The object that a series of points describes.
    package enum Key: Hashable, Sendable {
        case cluster
        case topic(String)
        case channel(topic: String, channel: String)
    }

    /// The values of one slot (an interval of the chart): averages over the polls in this interval.
    package struct Point: Sendable {
        /// The number of the slot, counted from 1970.
        package let slot: Int
        package private(set) var depth: Float
        private var knownIncoming: Float = 0
        private var knownOutgoing: Float = 0
        private var samples: Float = 1
        private var ratedSamples: Float = 0

        init(slot: Int, _ figures: QueueStatistics) {
            self.slot = slot
            depth = Float(figures.depth)
            addRates(figures)
        }

        /// The messages per second that were published; `nil` if no poll in the slot has measured
        /// the rate.
        package var incoming: Float? { ratedSamples > 0 ? knownIncoming : nil }
        /// The messages per second that were finished; `nil` if no poll in the slot has measured
        /// the rate.
        package var outgoing: Float? { ratedSamples > 0 ? knownOutgoing : nil }

        mutating func add(_ figures: QueueStatistics) {
            samples += 1
            depth += (Float(figures.depth) - depth) / samples
            addRates(figures)
        }

        private mutating func addRates(_ figures: QueueStatistics) {
            guard let incoming = figures.incoming, let outgoing = figures.outgoing else { return }
            ratedSamples += 1
            knownIncoming += (Float(incoming) - knownIncoming) / ratedSamples
            knownOutgoing += (Float(outgoing) - knownOutgoing) / ratedSamples
        }
    }

    /// A resolution of the charts. Every series is stored in both resolutions.
    package enum Resolution: CaseIterable, Sendable {
        case minutes
        case day

        /// The length of a slot.
        package var slotSeconds: Int { self == .minutes ? 5 : 300 }
        /// The maximum number of slots in a series.
        package var slotCount: Int { self == .minutes ? 120 : 288 }
    }

    private struct Series {
        var minutes: [Point] = []
        var day: [Point] = []
        var lastSeen = 0
    }

    /// The maximum number of series. A series has at most 408 points of 32 bytes.
    static let maxSeries = 4_000

    private var series: [Key: Series] = [:]

    /// Creates an empty history.
    init() {}

    /// Adds a snapshot. The series of a topic or a channel begins when it has a message for the
    /// first time.
    mutating func record(_ snapshot: ClusterSnapshot) {
        let second = snapshot.time / 1_000
        record(.cluster, snapshot.totals, at: second)
        for topic in snapshot.topics {
            record(.topic(topic.name), topic.figures, at: second)
            for channel in topic.channels {
                record(
                    .channel(topic: topic.name, channel: channel.name), channel.figures, at: second)
            }
        }
        if series.count >= Self.maxSeries { removeSeries(notSeenSince: second - 60) }
    }

    private mutating func record(_ key: Key, _ figures: QueueStatistics, at second: Int) {
        if series[key] == nil {
            let isIdle = figures.depth == 0 && (figures.incoming ?? 0) == 0
            guard key == .cluster || (!isIdle && series.count < Self.maxSeries) else { return }
            series[key] = Series()
        }
        series[key]?.lastSeen = second
        series[key]?.minutes.add(figures, at: second, .minutes)
        series[key]?.day.add(figures, at: second, .day)
    }

    /// Removes the series of topics and channels that do not exist any more.
    private mutating func removeSeries(notSeenSince second: Int) {
        series = series.filter { $0.value.lastSeen > second }
    }

    /// Returns the points of the stored slots, oldest first. Slots without a poll are missing.
    package func points(of key: Key, _ resolution: Resolution) -> [Point] {
        switch resolution {
        case .minutes: series[key]?.minutes ?? []
        case .day: series[key]?.day ?? []
        }
    }
}

extension [ClusterHistory.Point] {
    fileprivate mutating func add(
        _ figures: QueueStatistics, at second: Int, _ resolution: ClusterHistory.Resolution
    ) {
        let slot = second / resolution.slotSeconds
        // If the wall clock was set back, points later than the new time are wrong, so they are
        // removed.
        while let last, last.slot > slot { removeLast() }
        if let last, last.slot == slot {
            self[count - 1].add(figures)
        } else {
            append(ClusterHistory.Point(slot: slot, figures))
        }
        let oldest = slot - resolution.slotCount
        removeFirst(prefix { $0.slot <= oldest }.count)
    }
}
