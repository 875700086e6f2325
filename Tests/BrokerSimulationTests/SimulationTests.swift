import BrokerSimulation
import Testing

/// A few worlds, with every run of the tests; `make simulate` has as many as one likes.
@Suite struct `A broker on a bad disk, a bad network, and with a short life` {
    @Test(arguments: [1...30 as ClosedRange<UInt64>, 31...60])
    func `keeps what it promised`(seeds: ClosedRange<UInt64>) {
        for seed in seeds {
            let failure = Simulation.run(seed)
            #expect(failure == nil, "make simulate SEEDS=\(seed) tells how it came to that")
        }
    }
}
