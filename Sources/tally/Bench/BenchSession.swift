import NSQWire
import UVLoop

/// One measurement of one nsqd, with its own loop and connections.
final class BenchSession {
    let loop: Loop
    private let target: BenchTarget
    private let transport: BenchTransport
    private let phase: String
    private var failure: BenchError?
    private var connections: [BenchConnection] = []
    private var lastProgress: Int64 = 0

    init(_ phase: String, at target: BenchTarget, _ transport: BenchTransport) throws {
        self.phase = phase
        self.target = target
        self.transport = transport
        loop = try Loop()
    }

    /// Opens `count` connections, and calls `body` when all of them are negotiated. Runs the loop
    /// until ``finish()``.
    ///
    /// - Returns: the time from the call of `body` to ``finish()``, in seconds.
    /// - Throws: `UsageError` with the nsqd's name and the cause, if a connection fails or makes no
    ///   progress.
    func run(connections count: Int, _ body: @escaping ([BenchConnection]) -> Void) throws -> Double
    {
        var started: Int64 = 0
        var ready: [BenchConnection] = []
        for _ in 0..<count {
            connect { [unowned self] connection in
                ready.append(connection)
                guard ready.count == count else { return }
                started = loop.nowNanoseconds
                body(ready)
            }
        }
        let progressTimer = startProgressTimer()
        loop.run()
        let seconds = Double(loop.nowNanoseconds - started) / 1e9
        progressTimer.close()
        for connection in connections { connection.close() }
        connections = []
        loop.close()
        if let failure { throw UsageError("\(target.name): \(failure)") }
        return seconds
    }

    private func connect(_ onReady: @escaping (BenchConnection) -> Void) {
        UVLoop.Stream.connect(to: target.address, on: loop) { [unowned self] result in
            switch result {
            case .failure(let error): fail(.connection(error))
            case .success(let stream):
                let connection = BenchConnection(stream, transport, onReady: onReady) {
                    [unowned self] in fail($0)
                }
                connections.append(connection)
                connection.start()
            }
        }
    }

    func finish() { loop.stop() }

    /// Records progress. A session fails after ten seconds without progress.
    func recordProgress() { lastProgress = loop.nowNanoseconds }

    private func fail(_ error: BenchError) {
        if failure == nil { failure = error }
        loop.stop()
    }

    private func startProgressTimer() -> Timer {
        recordProgress()
        let timer = Timer(on: loop)
        timer.start(after: .seconds(1), repeating: .seconds(1)) { [unowned self] in
            if loop.nowNanoseconds - lastProgress > 10_000_000_000 { fail(.stalled(phase)) }
        }
        return timer
    }
}
