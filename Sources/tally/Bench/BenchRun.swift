import NSQWire
import UVLoop

/// One measurement against one nsqd: a loop of its own, connections, a clock, an end.
final class BenchRun {
    let loop: Loop
    private let target: BenchTarget
    private let transport: BenchTransport
    private let what: String
    private var failure: BenchError?
    private var connections: [BenchConnection] = []
    private var lastProgress: Int64 = 0

    init(_ what: String, at target: BenchTarget, _ transport: BenchTransport) throws {
        self.what = what
        self.target = target
        self.transport = transport
        loop = try Loop()
    }

    /// Connects `count` times, hands the connections to `body` once all that lies between is agreed
    /// on, and runs until ``finish()``.
    ///
    /// - Returns: the seconds from `body` to the finish.
    /// - Throws: `UsageError` that names the nsqd.
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
        let watch = watchProgress()
        loop.run()
        let seconds = Double(loop.nowNanoseconds - started) / 1e9
        watch.close()
        for connection in connections { connection.close() }
        connections = []
        loop.close()
        if let failure { throw UsageError("\(target.name): \(failure)") }
        return seconds
    }

    private func connect(_ whenReady: @escaping (BenchConnection) -> Void) {
        UVLoop.Stream.connect(to: target.address, on: loop) { [unowned self] result in
            switch result {
            case .failure(let error): fail(.connection(error))
            case .success(let stream):
                let connection = BenchConnection(stream, transport, onReady: whenReady) {
                    [unowned self] in fail($0)
                }
                connections.append(connection)
                connection.start()
            }
        }
    }

    func finish() { loop.stop() }

    /// Says that something has come: a run without progress is given up.
    func progress() { lastProgress = loop.nowNanoseconds }

    private func fail(_ error: BenchError) {
        if failure == nil { failure = error }
        loop.stop()
    }

    private func watchProgress() -> Timer {
        progress()
        let timer = Timer(on: loop)
        timer.start(after: .seconds(1), repeating: .seconds(1)) { [unowned self] in
            if loop.nowNanoseconds - lastProgress > 10_000_000_000 { fail(.stalled(what)) }
        }
        return timer
    }
}
