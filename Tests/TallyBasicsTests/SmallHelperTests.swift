import TallyBasics
import Testing

@Suite struct `The search in sorted collections` {
    @Test func `finds the first element that satisfies the predicate`() {
        for count in 0..<20 {
            let elements = (0..<count).map { 2 * $0 }
            for bound in -1...2 * count {
                let expected = elements.firstIndex { $0 >= bound } ?? elements.endIndex
                #expect(elements.partitioningIndex { $0 >= bound } == expected)
            }
        }
    }

    @Test func `searches slices by their own indices`() {
        let slice = Array(0..<10)[3..<8]
        #expect(slice.partitioningIndex { $0 >= 5 } == 5)
        #expect(slice.partitioningIndex { $0 >= 50 } == 8)
    }
}

@Suite struct `Counted nouns` {
    @Test func `use the singular for one and the plural for all other numbers`() {
        #expect(counted(0, "message") == "0 messages")
        #expect(counted(1, "message") == "1 message")
        #expect(counted(2, "message") == "2 messages")
        #expect(counted(1 as UInt64, "retry", plural: "retries") == "1 retry")
        #expect(counted(3 as UInt64, "retry", plural: "retries") == "3 retries")
    }
}
