/// The plays counted lately, so that one that comes again counts once: delivered again by NSQ,
/// which promises at least once, or published again by someone who heard no answer.
///
/// Remembered in two generations. A play goes into the younger one; when that has its share or its
/// time is over, the older one is forgotten as a whole, the younger becomes the older, and a new
/// one begins. So forgetting costs nothing, and needs no order to be kept.
package struct CountedPlays {
    /// How long a play is remembered. Both bounds hold, in memory as in the store.
    package struct Settings: Sendable {
        /// Remembered this long at least, and twice as long at most. Time in which no processor
        /// runs does not count: what was in flight then is delivered again afterwards.
        package var window = Duration.seconds(3600)
        /// Plays remembered at most; where more come within the window, at least the last half of
        /// so many. 16 bytes each in the store, and up to 43 in memory.
        package var limit = 1_000_000

        package init() {}
    }

    /// What a batch adds, for the store.
    package struct Addition: Sendable {
        package let fingerprints: [Fingerprint]
        package let generation: Int
    }

    private let settings: Settings
    private var younger = FingerprintSet()
    private var older = FingerprintSet()
    private var generation: Int
    private var begin: Instant
    private var open: [Fingerprint] = []

    package init(_ settings: Settings = Settings(), generation: Int = 1, at now: Instant) {
        self.settings = settings
        self.generation = generation
        begin = now
    }

    /// How many are remembered.
    package var count: Int { younger.count + older.count }

    /// Takes back what the store has of a generation; what is not of the last two is forgotten.
    mutating func restore(_ fingerprints: some Sequence<Fingerprint>, of generation: Int) {
        for fingerprint in fingerprints {
            if generation == self.generation {
                _ = younger.insert(fingerprint)
            } else if generation == self.generation - 1 {
                _ = older.insert(fingerprint)
            }
        }
    }

    /// - Returns: whether it is new, and so counts.
    package mutating func insert(_ fingerprint: Fingerprint) -> Bool {
        guard !older.contains(fingerprint), younger.insert(fingerprint) else { return false }
        open.append(fingerprint)
        return true
    }

    /// Closes the batch and opens the next.
    package mutating func takeAddition(at now: Instant) -> Addition {
        let addition = Addition(fingerprints: open, generation: generation)
        open.removeAll(keepingCapacity: true)
        if younger.count >= max(1, settings.limit / 2) || now - begin >= settings.window {
            turn(at: now)
        }
        return addition
    }

    private mutating func turn(at now: Instant) {
        older = younger
        // As large as the last one at once: growing takes a moment, and every play waits for it.
        younger = FingerprintSet(minimumCapacity: older.count)
        generation += 1
        begin = now
    }
}
