import Foundation

/// The results of `tally jobs bench`, with one value per round.
struct JobsBenchResults {
    /// The rates in jobs per second.
    var enqueue: [Double] = []
    var perform: [Double] = []
    var enqueueFleeting: [Double] = []
    var performFleeting: [Double] = []
    /// The median, and below it the 99th percentile, of the times until a single job starts, in
    /// microseconds.
    private(set) var startMedians: [Double] = []
    private(set) var startPercentiles: [Double] = []

    /// Adds the times of one round.
    mutating func appendStarts(_ durations: [Duration]) {
        let sorted = durations.map { $0 / .microseconds(1) }.sorted()
        startMedians.append(sorted[sorted.count / 2])
        startPercentiles.append(sorted[sorted.count * 99 / 100])
    }

    /// The median of each workload, in the order of the report.
    private var values: [(name: String, key: String, value: Double, unit: String)] {
        [
            ("store, many per call", "enqueue", enqueue.median, "/s"),
            ("perform", "perform", perform.median, "/s"),
            ("fleeting: store", "enqueue_fleeting", enqueueFleeting.median, "/s"),
            ("fleeting: perform", "perform_fleeting", performFleeting.median, "/s"),
            ("start of a single job p50", "start_p50_us", startMedians.median, " µs"),
            ("start of a single job p99", "start_p99_us", startPercentiles.median, " µs"),
        ]
    }

    var table: String {
        values.map { BenchTable.row($0.name, [BenchTable.thousands($0.value) + $0.unit]) }
            .joined(separator: "\n")
    }

    /// The report as JSON: one object with the median of each workload.
    var json: String {
        get throws {
            let object = Dictionary(
                uniqueKeysWithValues: values.map { ($0.key, $0.value.rounded()) })
            return try BenchTable.json(object)
        }
    }
}
