import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The binary with the file name nsqd` {
    @Test func `runs as nsqd`() throws {
        let folder = try TemporaryFolder()
        let nsqd = folder.url.appending(component: "nsqd")
        try FileManager.default.createSymbolicLink(
            at: nsqd, withDestinationURL: BuiltProcess.tally)
        let version = try BuiltProcess(["--version"], executable: nsqd)
        #expect(version.status() == 0)
        #expect(
            version.lines(of: .standardOutput).first?.hasPrefix("nsqd v1.3.0 (built w/") == true)
        let (broker, _) = try BuiltProcess.listening(
            ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--memory-only"],
            executable: nsqd)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

@Suite(.blocking) struct `A broker with a closed standard error` {
    @Test func `keeps running and exits with 0`() throws {
        // `exec` keeps the pid; the closed descriptor simulates a reader that has exited.
        let shell = URL(filePath: "/bin/sh")
        let broker = try BuiltProcess(
            [
                "-c", "exec \"$0\" nsqd --tcp-address=127.0.0.1:0 --http-address=127.0.0.1:0 2>&-",
                BuiltProcess.tally.path,
            ],
            executable: shell)
        // The broker prints nothing, so the test waits until it handles signals.
        #expect(eventually { !broker.isStarting })
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

extension BuiltProcess {
    /// Returns `true` while the process has no handler for SIGTERM.
    fileprivate var isStarting: Bool {
        guard
            let status = try? String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("SigCgt:") }),
            let mask = UInt64(line.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16)
        else { return false }
        return mask & (1 << UInt64(SIGTERM - 1)) == 0
    }
}
