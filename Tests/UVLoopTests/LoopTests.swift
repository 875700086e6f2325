import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A loop` {
    @Test func `returns when no work is left`() throws {
        try onLoop { _ in }
    }

    @Test func `stops on request, and can run again`() throws {
        var calls = 0
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .zero, repeating: .milliseconds(1)) {
                calls += 1
                loop.stop()
            }
            loop.run()
            #expect(calls == 1)
        }
        #expect(calls == 2)
    }

    @Test func `ends an iteration after timers and after jobs of the mailbox`() throws {
        let events = LockedValue<[String]>([])
        let record = { (event: String) in
            events.withLock { if $0.last != event { $0.append(event) } }
        }
        try onLoop { loop in
            Timer(on: loop).start(after: .zero) {
                loop.onIterationEnd = { record("end") }
                loop.callAtIterationEnd(Once { record("handler") })
                record("timer")
            }
            Timer(on: loop).start(after: .milliseconds(5)) {
                record("second timer")
                loop.mailbox.submit { loop in
                    events.withLock { $0.append("job") }
                    loop.stop()
                }
            }
        }
        let expected = ["timer", "end", "handler", "end", "second timer", "end", "job", "end"]
        #expect(events.withLock { $0 } == expected)
    }

    @Test func `calls each iteration end handler once, also one added by another`() throws {
        var calls: [Int] = []
        try onLoop { loop in
            loop.callAtIterationEnd(
                Once {
                    calls.append(1)
                    loop.callAtIterationEnd(Once { calls.append(2) })
                })
            Timer(on: loop).start(after: .milliseconds(2)) {}
        }
        #expect(calls == [1, 2])
    }

    @Test func `polls for I/O between deferred closures`() throws {
        let events = LockedValue<[String]>([])
        try onLoop { loop in
            func deferClosures(_ times: Int) {
                events.withLock { $0.append("deferred") }
                // libuv handles the mailbox's wake-up as I/O.
                loop.mailbox.submit { _ in events.withLock { $0.append("I/O") } }
                if times > 1 { loop.runInNextIteration { deferClosures(times - 1) } }
            }
            loop.runInNextIteration { deferClosures(3) }
            #expect(events.withLock { $0.isEmpty })
        }
        #expect(
            events.withLock { $0 } == ["deferred", "I/O", "deferred", "I/O", "deferred", "I/O"])
    }

    @Test func `discards deferred closures when it closes`() throws {
        let loop = try Loop()
        loop.runInNextIteration { Issue.record("a closed loop has run a closure") }
        loop.close()
        loop.runInNextIteration { Issue.record("a closed loop has run a closure") }
    }

    @Test func `closes open handles`() throws {
        weak var left: Timer?
        var closed = false
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .seconds(3600)) {}
            left = timer
            Timer(on: loop).start(after: .zero) {
                timer.close { closed = true }
                loop.stop()
            }
        }
        #expect(closed)
        #expect(left == nil)
    }

    private final class Once: IterationEndHandler {
        let body: () -> Void

        init(_ body: @escaping () -> Void) {
            self.body = body
        }

        func handleIterationEnd() {
            body()
        }
    }
}
