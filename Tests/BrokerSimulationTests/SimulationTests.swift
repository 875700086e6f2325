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

    /// Seeds of simulations that have failed:
    ///
    /// - 919: after a failed sync and a restart, a file that was only in the page cache replaced an
    ///   older one, and a channel was lost.
    /// - 9675: a relocation was written in part, and finished messages were delivered again.
    /// - 13817: damage removed the segment of messages that a channel was going to deliver, and the
    ///   broker crashed.
    /// - 23432: damage removed the channels at the start of the oldest file. The finished messages of
    ///   that file are then delivered again.
    @Test(arguments: [UInt64(919), 9_675, 13_817, 23_432])
    func `keeps them in simulations that have failed`(seed: UInt64) {
        #expect(Simulation.run(seed) == nil)
    }
}
