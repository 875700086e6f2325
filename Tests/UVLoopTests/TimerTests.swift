import Testing
import UVLoop

@Suite struct `A timer` {
    @Test(arguments: [0, 1, 300_000, 1_000_000, 2_500_001])
    func `is never early`(delayNanoseconds: Int64) throws {
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

    @Test func `fires once unless told to repeat`() throws {
        var fired = 0
        try onLoop { loop in
            Timer(on: loop).start(after: .zero) { fired += 1 }
        }
        #expect(fired == 1)
    }

    @Test func `repeats until it is stopped, also from within`() throws {
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

    @Test func `can be started anew from its own callback`() throws {
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

    @Test func `does nothing once closed, and lets go of what it held`() throws {
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

    @Test func `takes a time far beyond any clock`() throws {
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .seconds(Int64.max)) { Issue.record("already?") }
            Timer(on: loop).start(after: .zero) { timer.close() }
        }
    }
}
