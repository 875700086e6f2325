import NSQWire

/// Subscribes, and finishes all it is given.
final class BenchConsumer {
    /// How it goes about that.
    enum Manner {
        /// RDY 2,500, and a run of FINs for all that a read has brought, in one write.
        case inRuns
        /// A write for each FIN, as go-nsq does it.
        case singly(ready: Int)

        var readyCount: Int {
            switch self {
            case .inRuns: BenchConsumer.readyCount
            case .singly(let ready): ready
            }
        }
    }

    static let readyCount = 2_500

    private let connection: BenchConnection
    private let manner: Manner
    private var finished: [UInt8] = []
    private(set) var taken = 0
    /// Told of all that it has taken so far, once a read.
    var whenTaken: (Int) -> Void = { _ in }

    init(
        _ connection: BenchConnection, _ topic: TopicName, _ run: BenchRun,
        _ manner: Manner = .inRuns
    ) {
        self.connection = connection
        self.manner = manner
        finished.reserveCapacity(128 << 10)
        connection.onFrame = { [unowned self] frame in take(frame) }
        connection.onReadEnd = { [unowned self, unowned run] in readEnded(run) }
        connection.send(.subscribe(topic, ChannelName("bench")!))
        connection.send(.ready(count: manner.readyCount))
    }

    private var toldOf = 0

    private func readEnded(_ run: BenchRun) {
        guard taken > toldOf else { return }
        toldOf = taken
        run.progress()
        sendFinished()
        whenTaken(taken)
    }

    private func take(_ frame: ReceivedFrame) {
        guard frame.kind == .message, let message = ReceivedMessage(data: frame.data) else {
            return
        }
        taken += 1
        FinishLine.append(message.id, to: &finished)
        if case .singly = manner { sendFinished() }
    }

    private func sendFinished() {
        guard !finished.isEmpty else { return }
        connection.send(finished)
        finished.removeAll(keepingCapacity: true)
    }
}
