import Glibc
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A signal` {
    @Test func `calls its handler on the loop`() throws {
        var caught = 0
        try onLoop { loop in
            var signal: Signal?
            signal = try Signal(SIGUSR2, on: loop) {
                caught += 1
                signal?.close()
                signal = nil
            }
            kill(getpid(), SIGUSR2)
        }
        #expect(caught == 1)
    }

    @Test func `rejects a signal that cannot be handled`() throws {
        try onLoop { loop in
            #expect(throws: UVError.self) { try Signal(SIGKILL, on: loop) {} }
        }
    }
}
