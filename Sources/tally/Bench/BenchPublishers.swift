import UVLoop

/// Several connections that send the same commands repeatedly. Each connection has at most a window
/// of commands without a response.
final class BenchPublishers {
    private var all: [BenchPublisher] = []
    private var busy = 0
    /// Called when all connections have finished and every sent command has a response.
    var onDone: () -> Void = {}

    /// The number of acknowledged messages.
    var answered: Int { all.reduce(0) { $0 + $1.answered } }

    /// - Parameter bytes: the encoded commands; the memory must stay valid until the end of the
    ///   session.
    func start(
        _ connections: ArraySlice<BenchConnection>, _ commands: PreparedCommands,
        _ bytes: UnsafeRawBufferPointer, seconds: Double, maxMessages: Int, _ run: BenchSession
    ) {
        busy = connections.count
        let deadline = run.loop.nowNanoseconds + Int64(seconds * 1e9)
        all = connections.map {
            BenchPublisher(
                $0, commands, bytes, deadline: deadline,
                maxMessages: maxMessages / connections.count, run)
        }
        for publisher in all {
            publisher.start { [unowned self] in
                busy -= 1
                if busy == 0 { onDone() }
            }
        }
    }
}

/// One publishing connection.
private final class BenchPublisher {
    private let connection: BenchConnection
    private let commands: PreparedCommands
    private let bytes: UnsafeRawBufferPointer
    private let deadline: Int64
    private let maxMessages: Int
    private unowned let run: BenchSession
    private var sent = 0
    private(set) var answered = 0
    private var onDone: (() -> Void)?

    init(
        _ connection: BenchConnection, _ commands: PreparedCommands,
        _ bytes: UnsafeRawBufferPointer,
        deadline: Int64, maxMessages: Int, _ run: BenchSession
    ) {
        self.connection = connection
        self.commands = commands
        self.bytes = bytes
        self.deadline = deadline
        self.maxMessages = maxMessages
        self.run = run
    }

    func start(_ onDone: @escaping () -> Void) {
        self.onDone = onDone
        let perAnswer = commands.messagesPerAnswer
        connection.onFrame = { [unowned self] _ in answered += perAnswer }
        connection.onReadEnd = { [unowned self] in sendMore() }
        sendMore()
    }

    private func sendMore() {
        run.recordProgress()
        guard sent < maxMessages, run.loop.nowNanoseconds < deadline else {
            if answered == sent { finish() }
            return
        }
        let free = commands.window - (sent - answered + commands.messages - 1) / commands.messages
        // Each write contains at least half a window of commands. With one write per command, the
        // benchmark would measure system calls.
        guard connection.isIdle, free >= commands.window / 2 else { return }
        connection.send(prepared: bytes, times: free)
        sent += free * commands.messages
    }

    private func finish() {
        let onDone = onDone
        self.onDone = nil
        onDone?()
    }
}
