import Glibc
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `A thread that hosts share` {
    private final class Resident: LoopHosted {
        var thread: pthread_t { pthread_self() }

        func stop(_ done: @escaping () -> Void) { done() }
    }

    private let shared = SharedLoopThread(name: "shared")

    private func thread(of host: LoopHost<Resident>) async -> UInt? {
        await host.perform { UInt(bitPattern: $0.thread.hashValue) }
    }

    @Test func `starts with the first host, and ends with the last one`() async throws {
        #expect(!shared.isRunning)
        let first = try LoopHost(sharing: shared) { _ in Resident() }
        let second = try LoopHost(sharing: shared) { _ in Resident() }
        #expect(shared.userCount == 2)
        #expect(await thread(of: first) == thread(of: second))
        await first.stop()
        await first.stop()
        #expect(await thread(of: first) == nil)
        #expect(await thread(of: second) != nil)
        #expect(shared.isRunning)
        await second.stop()
        #expect(!shared.isRunning)
        #expect(!second.submit { _ in })
        let third = try LoopHost(sharing: shared) { _ in Resident() }
        #expect(await thread(of: third) != nil)
        await third.stop()
        #expect(!shared.isRunning)
    }

    @Test func `ends after its hosts were deallocated without a stop`() async throws {
        do {
            let hosts = try (0..<8).map { _ in try LoopHost(sharing: shared) { _ in Resident() } }
            #expect(shared.userCount == hosts.count)
        }
        while shared.isRunning { await Task.yield() }
        #expect(shared.userCount == 0)
    }
}
