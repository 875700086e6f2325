import Logging
import NSQClient
import UVLoop

/// Publishes references of jobs, in batches of one topic: all that arrive during a publish go into the
/// next one.
///
/// A failed publish makes its jobs selectable again in the store, and the sweep repeats it.
final class JobPublisher: Sendable {
    /// The maximum number of messages in one `MPUB`.
    static let maxBatchCount = 1_000

    private struct State {
        var waiting = PublicationQueue()
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

    /// Publishes in the background. The window of published jobs bounds what waits.
    func submit(_ publications: [Publication]) {
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

    private func nextBatch() -> [Publication]? {
        state.withLock { state in
            let batch = state.waiting.removeBatch(limit: Self.maxBatchCount)
            guard batch.isEmpty else { return batch }
            state.task = nil
            return nil
        }
    }

    /// Publishes jobs of one topic.
    ///
    /// - Throws: the error of the publish. The jobs are selectable again.
    func publish(_ batch: [Publication]) async throws(NSQError) {
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

    /// Makes jobs selectable again that were not published.
    func cancelReservations(_ publications: [Publication]) async {
        do throws(JobsError) {
            try await store.cancelReservations(publications.map(\.reference))
        } catch {
            // The sweep selects the jobs again after the delay for unclaimed ones.
            logger.warning("\(error)")
        }
    }
}
