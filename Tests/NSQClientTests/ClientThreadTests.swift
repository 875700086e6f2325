import Foundation
import NSQClient
import Testing

@Suite(.timeLimit(.minutes(15))) struct `The I/O thread of clients` {
    /// The number of threads of this process with this name.
    private func threadCount(_ name: String) throws -> Int {
        let folder = "/proc/self/task"
        return try FileManager.default.contentsOfDirectory(atPath: folder).count { task in
            // The thread may have ended meanwhile.
            let text = try? String(contentsOfFile: "\(folder)/\(task)/comm", encoding: .utf8)
            return text == name + "\n"
        }
    }

    @Test func `is one for all clients of the process`() async throws {
        let producers = try (0..<20).map { _ in
            try Producer(nsqd: "127.0.0.1:1", logger: quiet)
        }
        // The shared thread of earlier tests may still be ending.
        while try threadCount("nsq clients") != 1 { await Task.yield() }
        for producer in producers { await producer.stop() }
    }

    @Test func `is an own one if the options demand it`() async throws {
        var options = Producer.Options()
        options.client.ioThread = .own
        let producer = try Producer(nsqd: "127.0.0.1:1", options: options, logger: quiet)
        while try threadCount("nsq producer") == 0 { await Task.yield() }
        await producer.stop()
    }
}
