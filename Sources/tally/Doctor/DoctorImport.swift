import NSQBroker

/// Fills a data path with what a real nsqd has left.
enum DoctorImport {
    /// - Returns: `false` if something could not be read.
    static func run(from source: String, into dataPath: String) async throws -> Bool {
        let progress = Progress()
        progress.begin([Progress.Row("imported", of: nil)])
        let report: NSQDImport.Report
        do {
            defer { progress.end() }
            report = try await NSQDImport.run(from: source, into: dataPath) {
                progress.set("imported", $0)
            }
        }
        for remark in report.remarks { StandardError.print("note: \(remark)") }
        for damage in report.damages { StandardError.print("damaged: \(damage)") }
        print(
            """
            imported \(report.topics) topics, \(report.channels) channels, and \
            \(report.messages) messages; start with
            tally nsqd --data-path=\(dataPath)
            """)
        return report.damages.isEmpty
    }
}
