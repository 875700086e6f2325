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
        api = try pageAddress(in: line)
    }

    func request(
        _ method: String, _ path: String, body: String? = nil, headers: [String] = []
    ) throws -> ReceivedResponse {
        let hasHost = headers.contains { $0.hasPrefix("Host: ") }
        let lines = (hasHost ? [] : ["Host: \(api)"]) + headers
        return try ReceivedResponse(
            to: method, path, at: api, headers: lines.map { "\($0)\r\n" }.joined(),
            body: (body ?? "").utf8)
    }

    func stop() {
        process.send(SIGTERM)
        #expect(process.status() == 0)
    }
}
