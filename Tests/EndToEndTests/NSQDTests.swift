import Foundation
import TestKit
import Testing

@Suite struct `The binary called by the name nsqd` {
    @Test func `is nsqd`() throws {
        let folder = try TemporaryFolder()
        let nsqd = folder.url.appending(component: "nsqd")
        try FileManager.default.createSymbolicLink(
            at: nsqd, withDestinationURL: BuiltProcess.tally)
        let version = try BuiltProcess(["--version"], executable: nsqd)
        #expect(version.status() == 0)
        #expect(
            version.lines(of: .standardOutput).first?.hasPrefix("nsqd v1.3.0 (built w/") == true)
        let (broker, _) = try BuiltProcess.listening(
            ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"], executable: nsqd)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

@Suite struct `A broker whose log nobody reads` {
    @Test func `goes on, and ends with 0`() throws {
        // `exec` keeps the pid; the closed descriptor stands for a reader that has gone.
        let shell = URL(filePath: "/bin/sh")
        let broker = try BuiltProcess(
            [
                "-c", "exec \"$0\" nsqd --tcp-address=127.0.0.1:0 --http-address=127.0.0.1:0 2>&-",
                BuiltProcess.tally.path,
            ],
            executable: shell)
        // It says nothing, so its being there is all there is to observe: it takes the signal.
        while broker.isStarting {}
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

extension BuiltProcess {
    /// The signal is not yet caught: the kernel says which are.
    fileprivate var isStarting: Bool {
        guard
            let status = try? String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("SigCgt:") }),
            let mask = UInt64(line.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16)
        else { return false }
        return mask & (1 << UInt64(SIGTERM - 1)) == 0
    }
}
