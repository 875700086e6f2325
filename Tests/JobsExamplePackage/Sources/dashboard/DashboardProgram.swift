import Foundation
import WordCounts

/// Counts the words of some texts, and prints the dashboard.
@main struct DashboardProgram {
    static func main() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            component: "word-counts-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let application = try await WordCounts(path: folder.appending(component: "app.sqlite").path)
        try await application.add(Text(.article, "Jobs that survive a crash"))
        try await application.add(Text(.comment, "Well done"))
        for _ in 0..<Dashboard.alertCount { try await application.add(Text(.comment, "  ")) }
        var dashboard = try await Dashboard(of: application)
        while dashboard.waiting > 0 {
            try await Task.sleep(for: .milliseconds(20))
            dashboard = try await Dashboard(of: application)
        }
        print(dashboard)
        try await application.stop()
    }
}
