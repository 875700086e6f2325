import NSQClient
import UVLoop

/// The clients that a test has created. Their connections are closed at the end of the test.
final class ClientList: Sendable {
    private struct State {
        var consumers: [Consumer] = []
        var producers: [Producer] = []
    }

    private let state = LockedValue(State())

    func add(_ consumer: Consumer) { state.withLock { $0.consumers.append(consumer) } }

    func add(_ producer: Producer) { state.withLock { $0.producers.append(producer) } }

    /// Advances the manual clock of all clients.
    func advance(by step: Duration) async {
        let (consumers, producers) = state.withLock { ($0.consumers, $0.producers) }
        for consumer in consumers { await consumer.advance(by: step) }
        for producer in producers { await producer.advance(by: step) }
    }

    /// Closes the connections of all clients at once.
    func abandon() async {
        let (consumers, producers) = state.withLock { ($0.consumers, $0.producers) }
        for consumer in consumers { await consumer.abandon() }
        for producer in producers { await producer.abandon() }
    }
}
