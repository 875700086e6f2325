import Logging
import NSQClient
import UVLoop

/// Publishes references of jobs in batches. A batch has references of one topic. References that arrive
/// during a publish wait for the next batches.
///
/// After a failed publish, the reservations of its jobs are cancelled in the store, and a later sweep
/// publishes the jobs.
final class JobPublisher: Sendable {
    /// The maximum number of messages in one `MPUB`.
    static let maxBatchCount = 1_000

    private struct State {
        var waiting = ReservedJobQueue()
        var task: Task<Void, Never>?
    }

    private let producer: Producer
    private let store: any JobStore
    private let logger: Logger
    private let state = LockedValue(State())

    init(_ producer: Producer, _ store: any JobStore, _ logger: Logger) {
        self.producer = producer
        self.store = store
        self.logger = logger
    }

    /// Publishes in the background. The publish window bounds the number of jobs that wait here.
    func submit(_ publications: [ReservedJob]) {
        guard !publications.isEmpty else { return }
        state.withLock { state in
            state.waiting.append(publications)
            if state.task == nil { state.task = Task { await self.publishWaiting() } }
        }
    }

    /// Waits until everything that was submitted is published, or has failed.
    func flush() async {
        while let task = state.withLock({ $0.task }) { await task.value }
    }

    private func publishWaiting() async {
        while let batch = nextBatch() { try? await publish(batch) }
    }

    private func nextBatch() -> [ReservedJob]? {
        state.withLock { state in
            let batch = state.waiting.removeBatch(limit: Self.maxBatchCount)
            guard batch.isEmpty else { return batch }
            state.task = nil
            return nil
        }
    }

    /// Publishes jobs of one topic.
    ///
    /// - Throws: the error of the publish. The reservations of the jobs are cancelled.
    func publish(_ batch: [ReservedJob]) async throws(NSQError) {
        guard let topic = batch.first?.topic else { return }
        do throws(NSQError) {
            let bodies = batch.map { JobMessage($0.reference, name: $0.name).body }
            if bodies.count == 1 {
                try await producer.publish(bodies[0], to: topic.name)
            } else {
                try await producer.publish(PublishBatch(bodies), to: topic.name)
            }
        } catch {
            logger.warning("cannot publish jobs to topic \(topic.name): \(error)")
            await cancelReservations(batch)
            throw error
        }
    }

    /// Publishes a fleeting job.
    ///
    /// - Throws: the error of the publish. nsqd may have accepted the job.
    func publish(_ job: FleetingMessage, after delay: Duration) async throws(NSQError) {
        if delay > .zero {
            try await producer.publish(job.body, to: job.topic.name, after: delay)
        } else {
            try await producer.publish(job.body, to: job.topic.name)
        }
    }

    /// Cancels the reservations of jobs that were not published, so that a relay selects them again.
    func cancelReservations(_ publications: [ReservedJob]) async {
        do throws(JobsError) {
            try await store.cancelReservations(publications.map(\.reference))
        } catch {
            // A later sweep publishes the jobs anyway, when their republish delay has passed.
            logger.warning("\(error)")
        }
    }
}
