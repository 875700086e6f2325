import Testing

@testable import NSQClient

@Suite struct `The ledger of what is in flight` {
    private var ledger = InFlightLedger()

    @Test mutating func `counts messages until their batch is answered, once`() {
        let first = ledger.open(count: 3, dueNanoseconds: 10)
        let second = ledger.open(count: 4, dueNanoseconds: 10)
        #expect(ledger.messageCount == 7)
        #expect(ledger.answerRest(of: second) == [])
        #expect(ledger.answerRest(of: second) == nil)
        #expect(ledger.messageCount == 3)
        #expect(ledger.answerRest(of: first) == [])
        #expect(ledger.messageCount == 0)
        #expect(ledger.open(count: 1, dueNanoseconds: 10) == 2)
    }

    @Test mutating func `leaves out what was answered on its own`() {
        let batch = ledger.open(count: 3, dueNanoseconds: 10)
        #expect(ledger.answer(1, of: batch) == true)
        #expect(ledger.answer(1, of: batch) == false)
        #expect(ledger.messageCount == 2)
        #expect(ledger.answerRest(of: batch) == [1])
        #expect(ledger.answer(0, of: batch) == false)
    }

    @Test mutating func `is done with a batch answered one by one`() {
        let batch = ledger.open(count: 2, dueNanoseconds: 10)
        #expect(ledger.answer(0, of: batch) == true)
        #expect(ledger.answer(1, of: batch) == true)
        #expect(ledger.answerRest(of: batch) == nil)
        #expect(ledger.messageCount == 0)
    }

    @Test mutating func `gives up what has no answer when it is due`() {
        let early = ledger.open(count: 2, dueNanoseconds: 10)
        let late = ledger.open(count: 3, dueNanoseconds: 20)
        #expect(ledger.expire(atNanoseconds: 9) == 0)
        #expect(ledger.answer(0, of: early) == true)
        #expect(ledger.expire(atNanoseconds: 10) == 1)
        #expect(ledger.messageCount == 3)
        #expect(ledger.answerRest(of: early) == nil)
        #expect(ledger.answerRest(of: late) == [])
    }

    @Test mutating func `keeps a touched batch for longer`() {
        let batch = ledger.open(count: 2, dueNanoseconds: 10)
        #expect(ledger.extend(batch, dueNanoseconds: 30) == [])
        #expect(ledger.expire(atNanoseconds: 29) == 0)
        #expect(ledger.expire(atNanoseconds: 30) == 2)
        #expect(ledger.extend(batch, dueNanoseconds: 50) == nil)
    }

    @Test mutating func `answers nothing it never entered`() {
        #expect(ledger.answerRest(of: 0) == nil)
        #expect(ledger.answer(0, of: -1) == false)
    }
}
