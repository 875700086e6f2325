import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A timer` {
    @Test(arguments: [0, 1, 300_000, 1_000_000, 2_500_001])
    func `never fires early`(delayNanoseconds: Int64) throws {
        try onLoop { loop in
            for _ in 0..<20 {
                let start = loop.nowNanoseconds
                let timer = Timer(on: loop)
                timer.start(after: .nanoseconds(delayNanoseconds)) {
                    #expect(loop.nowNanoseconds - start >= delayNanoseconds)
                    timer.close()
                }
            }
        }
    }

    @Test func `fires once unless it has an interval`() throws {
        var fired = 0
        try onLoop { loop in
            Timer(on: loop).start(after: .zero) { fired += 1 }
        }
        #expect(fired == 1)
    }

    @Test func `repeats until it is stopped, also by its own callback`() throws {
        var fired = 0
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .milliseconds(1), repeating: .milliseconds(1)) {
                fired += 1
                if fired == 3 { timer.stop() }
            }
        }
        #expect(fired == 3)
    }

    @Test func `can be restarted by its own callback`() throws {
        var fired: [String] = []
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .zero) {
                fired.append("first")
                timer.start(after: .zero) { fired.append("second") }
            }
        }
        #expect(fired == ["first", "second"])
    }

    @Test func `does nothing once it is closed, and releases what its callback held`() throws {
        weak var held: Collector?
        try onLoop { loop in
            let timer = Timer(on: loop)
            let collector = Collector()
            held = collector
            timer.start(after: .zero) { Issue.record("\(collector) was called") }
            timer.close()
            timer.start(after: .zero) { Issue.record("a closed timer fired") }
            timer.close()
        }
        #expect(held == nil)
    }

    @Test(arguments: [Loop.Clock.system, .manual])
    func `accepts a delay longer than any clock can count`(clock: Loop.Clock) throws {
        try onLoop(clock: clock) { loop in
            let timer = Timer(on: loop)
            timer.start(after: .seconds(Int64.max)) { Issue.record("it fired at once") }
            Timer(on: loop).start(after: .zero) { timer.close() }
        }
    }
}

@Suite(.blocking) struct `A manual clock` {
    @Test func `fires timers in the order of their due times when it is advanced`() throws {
        var fired: [String] = []
        try onLoop(clock: .manual) { loop in
            let start = loop.nowNanoseconds
            let wall = loop.wallClockNanoseconds
            func record(_ name: String) {
                fired.append("\(name) at \((loop.nowNanoseconds - start) / 1_000_000_000)")
            }
            let repeating = Timer(on: loop)
            repeating.start(after: .seconds(20), repeating: .seconds(10)) { record("repeating") }
            Timer(on: loop).start(after: .seconds(25)) {
                record("once")
                Timer(on: loop).start(after: .seconds(1)) { record("nested") }
            }
            loop.advance(by: .seconds(19))
            #expect(fired.isEmpty)
            loop.advance(by: .seconds(20))
            #expect(loop.wallClockNanoseconds - wall == 39_000_000_000)
            repeating.close()
        }
        #expect(fired == ["repeating at 20", "once at 25", "nested at 26", "repeating at 30"])
    }

    @Test func `fires a timer without delay by itself, and no stopped or closed one`() throws {
        var fired = 0
        try onLoop(clock: .manual) { loop in
            let stopped = Timer(on: loop)
            stopped.start(after: .seconds(1)) { Issue.record("a stopped timer fired") }
            stopped.stop()
            let closed = Timer(on: loop)
            closed.start(after: .seconds(1)) { Issue.record("a closed timer fired") }
            closed.close()
            Timer(on: loop).start(after: .zero) {
                fired += 1
                loop.advance(by: .seconds(2))
            }
        }
        #expect(fired == 1)
    }
}
