import BrokerSimulation
import Testing

/// A few simulations, run with all tests. `make simulate` runs any number of them.
@Suite struct `A broker with an unreliable disk and network that crashes often` {
    @Test(arguments: [1...30 as ClosedRange<UInt64>, 31...60])
    func `keeps its delivery guarantees`(seeds: ClosedRange<UInt64>) {
        for seed in seeds {
            let failure = Simulation.run(seed)
            #expect(failure == nil, "make simulate SEEDS=\(seed) prints all events")
        }
    }
}
