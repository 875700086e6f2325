import Logging
import NSQWire
import UVLoop

/// One of a consumer's nsqds: its connection, or the pause before the next one, and what is in
/// flight from it.
final class ConsumerSource {
    let address: SocketAddress
    /// The number of the present connection, once it is established.
    private(set) var number: Int?
    private(set) var ledger = InFlightLedger()

    private unowned let engine: ConsumerEngine
    private let redial: Redial
    private var connection: Connection?
    private var hasCloseWait = false
    private var timeoutNanoseconds: Int64 = 0

    init(of engine: ConsumerEngine, nsqd address: SocketAddress) {
        self.engine = engine
        self.address = address
        redial = Redial(on: engine.loop, options: engine.options.client)
    }

    /// Nothing goes on any more.
    var isIdle: Bool { connection == nil }

    func connect() {
        var identify = Identify(for: engine.options.client)
        identify.messageTimeout = engine.options.messageTimeout?.wholeMilliseconds
        identify.outputBufferTimeout = engine.options.outputBufferTimeout?.wholeMilliseconds
        let connection = Connection(
            on: engine.loop, to: address, as: engine.role, identify: identify,
            options: engine.options.client, owner: self)
        self.connection = connection
        connection.start()
    }

    func setReady(_ count: Int) {
        guard !engine.isStopping else { return }
        connection?.write { Command.ready(count: count).append(to: &$0) }
    }

    /// The whole batch in one go if nothing of it was answered on its own.
    func finish(_ batch: MessageBatch) {
        guard let answered = ledger.answerRest(of: batch.serial) else { return tooLate(batch) }
        connection?.write { out in
            if answered.isEmpty {
                FinishLine.append(batch.ids, to: &out)
            } else {
                append(batch, except: answered, to: &out) { Command.finish($0) }
            }
        }
        drainIfDone()
    }

    func answer(_ batch: MessageBatch, with command: (MessageID) -> Command) {
        guard let answered = ledger.answerRest(of: batch.serial) else { return tooLate(batch) }
        connection?.write { append(batch, except: answered, to: &$0, command) }
        drainIfDone()
    }

    func answer(_ message: Message, with command: (MessageID) -> Command) {
        guard ledger.answer(message.place.index, of: message.place.batch) else { return }
        connection?.write { command(message.wireID).append(to: &$0) }
        drainIfDone()
    }

    func touch(_ batch: MessageBatch) {
        let due = engine.loop.nowNanoseconds + timeoutNanoseconds
        guard let answered = ledger.extend(batch.serial, dueNanoseconds: due) else {
            return tooLate(batch)
        }
        connection?.write { append(batch, except: answered, to: &$0) { Command.touch($0) } }
    }

    func expire(atNanoseconds now: Int64) {
        let expired = ledger.expire(atNanoseconds: now)
        guard expired > 0 else { return }
        engine.logger.warning(
            "\(expired) messages from nsqd at \(address) had no answer before their timeout")
        drainIfDone()
    }

    func stop() {
        redial.close()
        guard let connection else { return }
        if connection.isEstablished { connection.close() } else { connection.drain() }
    }

    func abandon() {
        connection?.fail("the consumer was let go")
    }

    private func append(
        _ batch: MessageBatch, except answered: Set<Int>, to out: inout [UInt8],
        _ command: (MessageID) -> Command
    ) {
        for (index, id) in batch.ids.enumerated() where !answered.contains(index) {
            command(id).append(to: &out)
        }
    }

    private func tooLate(_ batch: MessageBatch) {
        engine.logger.debug("a batch of \(batch.count) was answered twice or after its timeout")
    }

    private func drainIfDone() {
        if hasCloseWait, ledger.messageCount == 0 { connection?.drain() }
    }
}

extension ConsumerSource: ConnectionOwner {
    func connectionEstablished(_ connection: Connection) {
        redial.succeeded()
        engine.logger.debug("subscribed at nsqd \(address)")
        ledger = InFlightLedger()
        let terms = connection.session.terms
        timeoutNanoseconds = Int64(terms.messageTimeout.wholeMilliseconds) * 1_000_000
        engine.joined(self, most: terms.maxReadyCount) { number = $0 }
    }

    func connection(_ connection: Connection, received offsets: [UInt32], in block: ReadBlock) {
        let due = engine.loop.nowNanoseconds + timeoutNanoseconds
        let serial = ledger.open(count: offsets.count, dueNanoseconds: due)
        engine.onBatch(
            MessageBatch(
                block: block, offsets: offsets, connection: number!, serial: serial, nsqd: address))
    }

    func connection(_ connection: Connection, heard event: ClientSession.Event) {
        switch event {
        case .closeWait:
            hasCloseWait = true
            drainIfDone()
        case .answerRefused(let answer):
            engine.logger.debug("nsqd at \(address): \(answer)")
        default: connection.fail("answered what was not asked: \(event)")
        }
    }

    func connectionEnded(_ connection: Connection, _ error: NSQError?) {
        let number = number
        self.number = nil
        self.connection = nil
        ledger = InFlightLedger()
        if !engine.isStopping {
            let pause = redial.afterPause { [weak self] in self?.connect() }
            engine.logger.warning("\(error ?? .stopped); next attempt in \(pause)")
        }
        engine.left(self, connection: number, error)
    }
}
