import BrokerCore
import HTTP

/// Counts the bodies of requests as input of the broker.
final class BrokerBodyMemory: HTTPBodyMemory {
    private let broker: Broker

    init(_ broker: Broker) { self.broker = broker }

    func add(_ byteCount: Int, toBodyOf bodyBytes: Int) -> HTTPResponse? {
        guard bodyBytes < Broker.inputBytesBeyondLimit || broker.hasMemory(for: byteCount) else {
            return .failure(.memoryIsFull)
        }
        broker.memoryAccount.add(byteCount, to: .input)
        return nil
    }

    func remove(_ byteCount: Int) { broker.memoryAccount.add(-byteCount, to: .input) }
}
