import Foundation

/// An nsqd process for one test: the built binary, or the nsqd that `NSQD_PROGRAM` names. A test that
/// passes with both asserts NSQ's behavior.
package struct RunningNSQD: Sendable {
    package let process: BuiltProcess
    package let tcpAddress: String
    package let httpAddress: String
    private let folder: TemporaryFolder?

    /// The program that `NSQD_PROGRAM` names; `nil` for the built binary.
    package static let named = ProcessInfo.processInfo.environment["NSQD_PROGRAM"]
        .map { URL(filePath: $0) }

    /// `true` if the tests run against the nsqd of `NSQD_PROGRAM`.
    package static var isForeign: Bool { named != nil }

    /// Starts an nsqd on free ports.
    ///
    /// - Parameter dataPath: the data path; by default a temporary folder.
    package init(_ flags: [String] = [], dataPath: String? = nil) throws {
        folder = dataPath == nil ? try TemporaryFolder() : nil
        let place = dataPath ?? folder!.url.path
        let words =
            (Self.isForeign ? [] : ["nsqd"])
            + ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--data-path=\(place)"]
            + flags
        (process, tcpAddress) = try BuiltProcess.listening(
            words, executable: Self.named ?? BuiltProcess.tally)
        let mark = "HTTP: listening on "
        guard let line = process.line(containing: mark), let range = line.range(of: mark) else {
            throw BuiltProcess.NotListening(lines: process.linesSoFar(of: .standardError))
        }
        httpAddress = String(line[range.upperBound...])
    }

    /// Waits until nsqd handles signals. The real nsqd installs its handlers some time after it
    /// listens, and nothing observable shows when. The built binary installs them before.
    package static func waitUntilSignalsAreHandled() {
        if isForeign { Thread.sleep(forTimeInterval: 0.5) }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// - Returns: `true` if the exit status is 0.
    @discardableResult
    package func stop() -> Bool {
        process.send(SIGTERM)
        let status = process.status()
        // The real nsqd may not have installed its signal handlers yet.
        return status == 0 || (Self.isForeign && status == -SIGTERM)
    }

    /// The address for HTTPS; `nil` without a certificate.
    package var httpsAddress: String? {
        let mark = "HTTPS: listening on "
        let line = process.line(containing: mark)
        return line.flatMap { line in line.range(of: mark).map { String(line[$0.upperBound...]) } }
    }
}
