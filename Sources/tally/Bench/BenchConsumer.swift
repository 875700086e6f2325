import NSQWire

/// Subscribes to a topic, and finishes every received message.
final class BenchConsumer {
    /// The way in which the consumer finishes messages.
    enum FinishMode {
        /// The consumer sends RDY 2,500, and writes the FINs for all messages of a read at once.
        case batched
        /// The consumer sends the RDY count `ready`, and writes each FIN separately, as go-nsq
        /// does.
        case singly(ready: Int)

        var readyCount: Int {
            switch self {
            case .batched: BenchConsumer.readyCount
            case .singly(let ready): ready
            }
        }
    }

    static let readyCount = 2_500

    private let connection: BenchConnection
    private let mode: FinishMode
    private var finished: [UInt8] = []
    /// The number of received messages.
    private(set) var received = 0
    /// Runs after each read with the total number of received messages.
    var onReceived: (Int) -> Void = { _ in }

    init(
        _ connection: BenchConnection, _ topic: TopicName, _ run: BenchSession,
        _ mode: FinishMode = .batched
    ) {
        self.connection = connection
        self.mode = mode
        finished.reserveCapacity(128 << 10)
        connection.onFrame = { [unowned self] frame in handle(frame) }
        connection.onReadEnd = { [unowned self, unowned run] in readEnded(run) }
        connection.send(.subscribe(topic, ChannelName("bench")!))
        connection.send(.ready(count: mode.readyCount))
    }

    private var reported = 0

    private func readEnded(_ run: BenchSession) {
        guard received > reported else { return }
        reported = received
        run.recordProgress()
        sendFinished()
        onReceived(received)
    }

    private func handle(_ frame: ReceivedFrame) {
        guard frame.kind == .message, let message = ReceivedMessage(data: frame.data) else {
            return
        }
        received += 1
        FinishLine.append(message.id, to: &finished)
        if case .singly = mode { sendFinished() }
    }

    private func sendFinished() {
        guard !finished.isEmpty else { return }
        connection.send(finished)
        finished.removeAll(keepingCapacity: true)
    }
}
