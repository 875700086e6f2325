import Logging
import TallyBasics

/// Deletes ended jobs in the background. Each process with a ``Relay`` runs a pruner.
struct JobPruner: Sendable {
    /// The maximum number of jobs that one transaction deletes, so that no transaction takes long.
    static let portion = 500

    let store: any JobStore
    let pruning: JobPruning
    let clock: JobClock
    let logger: Logger

    /// Deletes jobs at each interval until the task is cancelled.
    func run() async {
        let rules = pruning.rules
        guard !rules.isEmpty else { return }
        while !Task.isCancelled {
            do throws(JobsError) {
                let deleted = try await store.pruneAll(rules, portion: Self.portion, clock)
                if deleted > 0 { logger.info("deleted \(counted(deleted, "ended job"))") }
            } catch {
                logger.warning("cannot delete ended jobs: \(error)")
            }
            try? await Task.sleep(for: pruning.interval)
        }
    }
}

extension JobStore {
    /// Deletes the jobs that the rules select, in transactions of at most `portion` jobs, until
    /// there are no more such jobs or the task is cancelled.
    ///
    /// - Returns: the number of deleted jobs.
    func pruneAll(
        _ rules: [PruneRule], portion: Int, _ clock: JobClock
    ) async throws(JobsError) -> Int {
        var deleted = 0
        for rule in rules {
            var count = portion
            while count == portion, !Task.isCancelled {
                count = try await prune(rule, limit: portion, at: clock.now())
                deleted += count
            }
        }
        return deleted
    }
}
