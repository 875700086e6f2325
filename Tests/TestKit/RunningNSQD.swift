import Foundation

/// A daemon of its own for one test: the built binary as `nsqd`, or the nsqd that `NSQD_PROGRAM`
/// names. That a test holds there too shows that it states NSQ's behaviour and not only ours.
package struct RunningNSQD: Sendable {
    package let process: BuiltProcess
    package let tcpAddress: String
    package let httpAddress: String
    private let folder: TemporaryFolder?

    /// The nsqd to be asked instead of ours.
    package static let named = ProcessInfo.processInfo.environment["NSQD_PROGRAM"]
        .map { URL(filePath: $0) }

    /// Another nsqd than ours is asked.
    package static var isForeign: Bool { named != nil }

    /// Starts one on free ports.
    ///
    /// - Parameter dataPath: what outlives it; by default a folder that goes with it.
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
            throw BuiltProcess.NotListening(lines: process.lines(of: .standardError))
        }
        httpAddress = String(line[range.upperBound...])
    }

    /// The real one hears of signals only some time after it has begun to listen, and nothing that
    /// can be seen from outside says when; ours does before.
    package static func waitUntilItHearsSignals() {
        if isForeign { Thread.sleep(forTimeInterval: 0.5) }
    }

    /// Ends it as a service manager would.
    ///
    /// - Returns: whether it ended as it should.
    @discardableResult
    package func stop() -> Bool {
        process.send(SIGTERM)
        let status = process.status(timeout: 20)
        // See `waitUntilItHearsSignals`: what only asks for an end need not wait.
        return status == 0 || (Self.isForeign && status == -SIGTERM)
    }

    /// Where it serves HTTPS, if it has a certificate.
    package var httpsAddress: String? {
        let mark = "HTTPS: listening on "
        let line = process.line(containing: mark, timeout: 20)
        return line.flatMap { line in line.range(of: mark).map { String(line[$0.upperBound...]) } }
    }
}
