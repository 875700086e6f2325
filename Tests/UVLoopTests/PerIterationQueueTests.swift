import TestKit
import TestTraits
import Testing

@testable import UVLoop

@Suite(.blocking) struct `A work queue` {
    @Test func `runs at most its number of jobs per iteration, in order`() throws {
        var ran: [Int] = []
        var iterations: [Int] = []
        try onLoop(clock: .manual) { loop in
            let queue = PerIterationQueue(on: loop, jobs: 3, time: .seconds(1))
            loop.runInNextIteration {
                for number in 1...10 {
                    queue.submit {
                        ran.append(number)
                        iterations.append(loop.iteration)
                    }
                }
                #expect(ran == [1, 2, 3])
                #expect(queue.waitingCount == 7)
            }
            loop.run()
            #expect(queue.waitingCount == 0)
        }
        #expect(ran == Array(1...10))
        for iteration in Set(iterations) {
            #expect(iterations.count { $0 == iteration } <= 3)
        }
    }

    @Test func `ends a portion when its time is used up`() throws {
        var ranPerPortion: [Int] = []
        try onLoop(clock: .manual) { loop in
            let queue = PerIterationQueue(on: loop, jobs: 100, time: .milliseconds(5))
            var lastIteration = -1
            loop.runInNextIteration {
                for _ in 1...6 {
                    queue.submit {
                        if loop.iteration != lastIteration { ranPerPortion.append(0) }
                        lastIteration = loop.iteration
                        ranPerPortion[ranPerPortion.count - 1] += 1
                        loop.advance(by: .milliseconds(2))
                    }
                }
            }
            loop.run()
        }
        // Jobs begin after 0, 2 and 4 ms.
        #expect(ranPerPortion == [3, 3])
    }

    @Test func `runs a job of a job at once`() throws {
        var ran: [String] = []
        try onLoop(clock: .manual) { loop in
            let queue = PerIterationQueue(on: loop, jobs: 1, time: .seconds(1))
            loop.runInNextIteration {
                queue.submit {
                    ran.append("outer")
                    queue.submit { ran.append("inner") }
                    ran.append("end")
                }
                queue.submit { ran.append("next") }
                #expect(ran == ["outer", "inner", "end"])
            }
            loop.run()
        }
        #expect(ran == ["outer", "inner", "end", "next"])
    }
}
