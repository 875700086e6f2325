import Testing

@testable import tally

@Suite struct `The decision to return free memory` {
    private var decision = TrimDecision(interval: .seconds(10))

    /// Returns the decisions after these processor times in milliseconds.
    private mutating func decisions(_ milliseconds: Int...) -> [Bool] {
        milliseconds.map { decision.shouldTrim(processorTime: .milliseconds($0)) }
    }

    @Test mutating func `waits until the process is quiet`() {
        let answers = decisions(8_000, 8_501, 9_001)
        #expect(answers == [false, false, true])
    }

    @Test mutating func `is taken once after each work`() {
        let answers = decisions(8_000, 8_010, 8_020, 8_209, 8_210)
        #expect(answers == [false, true, false, false, true])
    }

    @Test mutating func `is not taken for a process that did nothing`() {
        let answers = decisions(0, 50, 100, 199)
        #expect(answers == [false, false, false, false])
    }
}
