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

    /// 13817: damage removed the segment of messages that a channel was going to deliver, and the broker
    /// ended. 9675: a relocation was written in part, and finished messages came back.
    @Test(arguments: [UInt64(9_675), 13_817])
    func `keeps them in simulations that have failed`(seed: UInt64) {
        #expect(Simulation.run(seed) == nil)
    }
}
