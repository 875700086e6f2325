import TallyBasics

/// Formats the lines that `nsq_stat` prints.
package enum StatisticsLine {
    /// The two header lines above the numbers. They are repeated after ``linesPerHeader`` reports.
    package static let header = [
        "------rate------+----------------depth----------------+--------------metadata---------------",
        columns([
            ("ingress", 7), ("egress", 7), ("|", 1), ("total", 7), ("mem", 7), ("disk", 7),
            ("inflt", 5), ("def", 5), ("|", 1), ("req", 7), ("t-o", 7), ("msgs", 12),
            ("clients", 7),
        ]),
    ]

    /// The number of reports from one header to the next, including the first report, which has no
    /// numbers.
    package static let linesPerHeader = 25

    /// Returns the numbers of one report.
    ///
    /// - Parameters:
    ///   - now: the counters.
    ///   - before: the counters of the previous report.
    ///   - interval: the time between the two reports.
    package static func text(
        _ now: ClusterStatistics.Channel, since before: ClusterStatistics.Channel,
        interval: Duration
    ) -> String {
        let received = now.messageCount.subtractingSaturated(before.messageCount)
        let waiting = now.depth.subtractingSaturated(before.depth)
        let finished = received.subtractingSaturated(waiting)
        let seconds = interval / .seconds(1)
        func rate(_ count: Int) -> String { String(Int(clamping: Double(count) / seconds)) }
        return columns([
            (rate(received), 7), (rate(finished), 7), ("|", 1), ("\(now.depth)", 7),
            ("\(now.depth.subtractingSaturated(now.backendDepth))", 7), ("\(now.backendDepth)", 7),
            ("\(now.inFlightCount)", 5), ("\(now.deferredCount)", 5), ("|", 1),
            ("\(now.requeueCount)", 7), ("\(now.timeoutCount)", 7), ("\(now.messageCount)", 12),
            ("\(now.clientCount)", 7),
        ])
    }

    private static func columns(_ texts: [(text: String, width: Int)]) -> String {
        texts.map { text, width in
            String(repeating: " ", count: max(0, width - text.utf8.count)) + text
        }.joined(separator: " ")
    }
}

extension Int {
    /// Rounds towards zero; an infinite number becomes the nearest `Int`.
    fileprivate init(clamping number: Double) {
        self = Int(exactly: number.rounded(.towardZero)) ?? (number < 0 ? .min : .max)
    }
}
