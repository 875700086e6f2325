import NSQBroker
import TallyBasics

/// Imports the data path of a real nsqd.
enum DoctorImport {
    /// - Returns: `true` if the import found no damage in the data path.
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
            imported \(counted(report.topics, "topic")), \(counted(report.channels, "channel")) and \
            \(counted(report.messages, "message")); start the broker with
            tally nsqd --data-path=\(dataPath)
            """)
        return report.damages.isEmpty
    }
}
