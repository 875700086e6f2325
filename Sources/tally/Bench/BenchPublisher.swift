import UVLoop

/// Connections that send the same commands over and over, a window of them under way on each.
final class BenchPublishers {
    private var all: [BenchPublisher] = []
    private var busy = 0
    /// Everything that was sent has been answered.
    var whenDone: () -> Void = {}

    /// How many messages the answers stand for.
    var answered: Int { all.reduce(0) { $0 + $1.answered } }

    /// - Parameter bytes: the commands' own; they stay where they are until the run is over.
    func start(
        _ connections: ArraySlice<BenchConnection>, _ commands: BenchCommands,
        _ bytes: UnsafeRawBufferPointer, seconds: Double, maxMessages: Int, _ run: BenchRun
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
                if busy == 0 { whenDone() }
            }
        }
    }
}

/// One of them.
private final class BenchPublisher {
    private let connection: BenchConnection
    private let commands: BenchCommands
    private let bytes: UnsafeRawBufferPointer
    private let deadline: Int64
    private let maxMessages: Int
    private unowned let run: BenchRun
    private var sent = 0
    private(set) var answered = 0
    private var whenDone: (() -> Void)?

    init(
        _ connection: BenchConnection, _ commands: BenchCommands, _ bytes: UnsafeRawBufferPointer,
        deadline: Int64, maxMessages: Int, _ run: BenchRun
    ) {
        self.connection = connection
        self.commands = commands
        self.bytes = bytes
        self.deadline = deadline
        self.maxMessages = maxMessages
        self.run = run
    }

    func start(_ whenDone: @escaping () -> Void) {
        self.whenDone = whenDone
        let perAnswer = commands.messagesPerAnswer
        connection.onFrame = { [unowned self] _ in answered += perAnswer }
        connection.onReadEnd = { [unowned self] in goOn() }
        goOn()
    }

    private func goOn() {
        run.progress()
        guard sent < maxMessages, run.loop.nowNanoseconds < deadline else {
            if answered == sent { finish() }
            return
        }
        let free = commands.window - (sent - answered + commands.messages - 1) / commands.messages
        // Half a window at a time: a write a command would measure system calls.
        guard connection.isIdle, free >= commands.window / 2 else { return }
        connection.send(prepared: bytes, times: free)
        sent += free * commands.messages
    }

    private func finish() {
        let whenDone = whenDone
        self.whenDone = nil
        whenDone?()
    }
}
