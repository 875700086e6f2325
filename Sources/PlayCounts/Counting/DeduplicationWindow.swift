import TallyBasics

/// Stores the fingerprints of recently counted plays. So a play is counted once even if NSQ
/// delivers it again, or its producer publishes it again after a lost response.
///
/// The window consists of two generations. New fingerprints are added to the current generation.
/// When the current generation reaches its maximum size or age, it becomes the previous generation,
/// and the former previous generation is discarded as a whole. So the order of insertion does not
/// have to be stored.
package struct DeduplicationWindow {
    /// The bounds of the window, in memory and in the store.
    package struct Settings: Sendable {
        /// Fingerprints are stored for at least this long, unless `limit` is reached, and for at
        /// most twice as long. The time while the processor does not run is not included, because
        /// NSQ redelivers the unfinished messages of one run only in the next run.
        package var window = Duration.seconds(3600)
        /// The maximum number of fingerprints. If more plays arrive within `window`, at least the
        /// latest `limit / 2` are stored. Each fingerprint takes 16 bytes in the store and up to 43
        /// bytes in memory.
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

    /// The number of stored fingerprints.
    package var count: Int { current.count + previous.count }

    /// Adds fingerprints that were loaded from the store, with their generation. Generations other
    /// than the current and the previous one are ignored.
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
        // Growing a large set would delay all plays, so the new set gets the capacity of the
        // previous one immediately.
        current = FingerprintSet(minimumCapacity: previous.count)
        generation += 1
        generationStart = now
    }
}
