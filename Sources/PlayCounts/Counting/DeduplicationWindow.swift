import TallyBasics

/// Remembers the fingerprints of recently counted plays, so that a play is counted once even if NSQ
/// delivers it again, or its producer publishes it again after a lost response.
///
/// The window consists of two generations. New fingerprints are added to the current generation.
/// When it reaches its maximum size or age, the previous generation is discarded as a whole, and
/// the current one becomes the previous one. So no order of insertion has to be stored.
package struct DeduplicationWindow {
    /// The bounds of the window, in memory and in the store.
    package struct Settings: Sendable {
        /// Fingerprints are remembered for at least this long, unless `limit` is reached, and at most
        /// twice as long. The time between two runs of the processor does not count, because NSQ
        /// redelivers the unfinished messages of a run only in the next one.
        package var window = Duration.seconds(3600)
        /// The maximum number of fingerprints. If more plays arrive within `window`, at least the
        /// latest `limit / 2` are remembered. Each fingerprint takes 16 bytes in the store and up
        /// to 43 bytes in memory.
        package var limit = 1_000_000

        package init() {}
    }

    /// The fingerprints of one batch, for the store.
    package struct Addition: Sendable {
        package let fingerprints: [Fingerprint]
        package let generation: Int
    }

    private let settings: Settings
    private var current = FingerprintSet()
    private var previous = FingerprintSet()
    private var generation: Int
    private var generationStart: MonotonicInstant
    private var batch: [Fingerprint] = []

    package init(
        _ settings: Settings = Settings(), generation: Int = 1, at now: MonotonicInstant
    ) {
        self.settings = settings
        self.generation = generation
        generationStart = now
    }

    /// The number of remembered fingerprints.
    package var count: Int { current.count + previous.count }

    /// Adds fingerprints that the store has for a generation. Generations other than the current
    /// and the previous one are ignored.
    mutating func restore(_ fingerprints: some Sequence<Fingerprint>, of generation: Int) {
        for fingerprint in fingerprints {
            if generation == self.generation {
                _ = current.insert(fingerprint)
            } else if generation == self.generation - 1 {
                _ = previous.insert(fingerprint)
            }
        }
    }

    /// Adds a fingerprint to the current batch.
    ///
    /// - Returns: `true` if it is new, `false` if it is a duplicate.
    package mutating func insert(_ fingerprint: Fingerprint) -> Bool {
        guard !previous.contains(fingerprint), current.insert(fingerprint) else { return false }
        batch.append(fingerprint)
        return true
    }

    /// Ends the current batch and begins the next.
    ///
    /// - Returns: the fingerprints of the batch.
    package mutating func takeBatch(at now: MonotonicInstant) -> Addition {
        let addition = Addition(fingerprints: batch, generation: generation)
        batch.removeAll(keepingCapacity: true)
        let isFull = current.count >= max(1, settings.limit / 2)
        if isFull || now - generationStart >= settings.window { beginGeneration(at: now) }
        return addition
    }

    private mutating func beginGeneration(at now: MonotonicInstant) {
        previous = current
        // Growing the set would delay all plays, so it gets the size of the previous one at once.
        current = FingerprintSet(minimumCapacity: previous.count)
        generation += 1
        generationStart = now
    }
}
