import TallyBasics
import Testing

@Suite struct `The random number generator` {
    /// From the reference implementation, <https://prng.di.unimi.it/splitmix64.c>.
    @Test func `gives the numbers of the reference implementation`() {
        var generator = SplitMix64(seed: 1_234_567)
        let numbers = (0..<5).map { _ in generator.next() }
        #expect(
            numbers == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
                4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
            ])
    }

    @Test func `draws all numbers below a bound and none other`() {
        var generator = SplitMix64(seed: 1)
        let draws = (0..<1000).map { _ in generator.next(below: 7) }
        #expect(Set(draws) == Set(0..<7))
    }

    @Test func `draws fractions from zero up to one`() {
        var generator = SplitMix64(seed: 1)
        let draws = (0..<1000).map { _ in generator.nextFraction() }
        #expect(draws.allSatisfy { (0..<1).contains($0) })
        #expect(draws.min()! < 0.01 && draws.max()! > 0.99)
    }

    @Test func `shuffles an array into another order of the same elements`() {
        var generator = SplitMix64(seed: 1)
        var elements = Array(0..<100)
        generator.shuffle(&elements)
        #expect(elements != Array(0..<100))
        #expect(elements.sorted() == Array(0..<100))
    }
}
