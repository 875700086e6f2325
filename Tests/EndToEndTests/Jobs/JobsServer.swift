import Foundation
import TestKit
import Testing

/// A running `tally jobs serve` on free ports.
struct JobsServer {
    let process: BuiltProcess
    /// The address of the broker.
    let nsqd: String
    /// The address of the API.
    let api: String

    /// - Parameter tcpAddress: the address of the broker; by default with a free port.
    init(
        _ jobs: JobsFolder, tcpAddress: String = "127.0.0.1:0", apiAddress: String = "127.0.0.1:0",
        _ words: String...
    ) throws {
        let (process, nsqd) = try BuiltProcess.listening(
            [
                "jobs", "serve", "--store=\(jobs.store)", "--tcp-address=\(tcpAddress)",
                "--api-address=\(apiAddress)",
            ] + words)
        self.process = process
        self.nsqd = nsqd
        let line = try #require(process.line(containing: "the API of the jobs is at "))
        let url = try #require(line.split(separator: " ").last.flatMap { URL(string: "\($0)") })
        api = "\(url.host() ?? ""):\(url.port ?? 0)"
    }

    struct Response {
        var status: Int
        var headers: [AnyHashable: Any]
        var body: String
    }

    /// Sends a request with curl, which sets any header.
    func request(
        _ method: String, _ path: String, body: String? = nil, headers: [String] = []
    ) throws -> Response {
        var words = ["--silent", "--show-error", "--include", "--request", method]
        for header in headers { words += ["--header", header] }
        if method == "HEAD" { words = ["--silent", "--head"] }
        if let body { words += ["--data-binary", body] }
        let curl = try BuiltProcess(
            words + ["http://\(api)\(path)"], executable: URL(filePath: "/usr/bin/curl"))
        #expect(curl.status() == 0, "\(curl.lines(of: .standardError))")
        let lines = curl.lines(of: .standardOutput).map { $0.replacing("\r", with: "") }
        let end = lines.firstIndex(of: "") ?? lines.endIndex
        var fields: [String: String] = [:]
        for line in lines[..<end].dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { String($0) }
            if parts.count == 2 { fields[parts[0]] = parts[1].trimmingCharacters(in: .whitespaces) }
        }
        return Response(
            status: lines.first.flatMap { Int($0.split(separator: " ")[1]) } ?? 0, headers: fields,
            body: lines[min(end + 1, lines.count)...].joined(separator: "\n"))
    }

    func stop() {
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }
}
