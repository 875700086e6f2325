import HTTP
import NSQWire
import Testing
import UVLoop

@testable import NSQClient

/// Delays that grow with failures begin again after a success. The clock advances in steps while a
/// client waits. So a delay is measured as the number of steps until the next attempt, including the
/// few iterations of the attempt itself.
@Suite struct `The delay before a reconnect` {
    /// The number of connections. Without a reset, the last delay would be at least 2,048 s.
    private let cycles = 13

    private var options: ClientOptions {
        var options = ClientOptions()
        options.minReconnectDelay = .seconds(1)
        options.maxReconnectDelay = .seconds(3600)
        options.connectTimeout = .seconds(300)
        return options
    }

    /// Ends each connection after it is established, and returns the longest delay in seconds.
    ///
    /// - Parameters:
    ///   - isLast: returns `true` for the last command of a handshake.
    ///   - start: starts a client, and returns the closure that stops it.
    private func longestDelay(
        _ isLast: @escaping (Command) -> Bool,
        _ start: @escaping (Loop, SocketAddress) -> () -> Void
    ) throws -> Int {
        var longest = 0
        try withNSQD(clock: .manual) { loop, nsqd in
            var delay = 0
            nsqd.onConnection = { _ in
                longest = max(longest, delay)
                delay = 0
            }
            nsqd.script = { connection, command, _ in
                guard isLast(command) else { return false }
                // The client then closes the connection.
                loop.runInNextIteration { connection.stream.shutdown() }
                return false
            }
            let stop = start(loop, nsqd.address)
            loop.onIterationEnd = { [weak loop] in
                guard let loop, nsqd.connections.last?.hasEnded == true else { return }
                guard nsqd.connections.count < self.cycles, delay < 4_000 else {
                    loop.onIterationEnd = nil
                    longest = max(longest, delay)
                    stop()
                    return loop.runInNextIteration { loop.stop() }
                }
                loop.runInNextIteration {
                    delay += 1
                    loop.advance(by: .seconds(1))
                }
            }
        }
        return longest
    }

    @Test func `is short again after a producer was connected`() throws {
        let longest = try longestDelay({ $0 == .identify }) { loop, nsqd in
            var options = Producer.Options()
            options.client = self.options
            let producer = ProducerEngine(on: loop, nsqd: nsqd, options: options, logger: quiet)
            producer.start()
            return { producer.abandon() }
        }
        #expect(longest < 200)
    }

    @Test func `is short again after a consumer was subscribed`() throws {
        let longest = try longestDelay({ $0 == .ready(count: 1000) }) { loop, nsqd in
            var options = Consumer.Options()
            options.client = self.options
            let consumer = ConsumerEngine(
                on: loop, topic: plays, channel: counts, nsqds: [nsqd], options: options,
                logger: quiet)
            consumer.start()
            return { consumer.abandon() }
        }
        #expect(longest < 200)
    }
}

@Suite struct `The interval of the polls of nsqlookupd` {
    /// Polls an nsqlookupd, and returns the milliseconds between the polls.
    ///
    /// - Parameter hasNSQD: for each poll, `true` if an nsqd is known after it.
    private func intervals(
        _ hasNSQD: [Bool], _ change: (inout LookupOptions) -> Void
    ) throws -> [Int] {
        var options = LookupOptions()
        change(&options)
        let loop = try Loop(clock: .manual)
        let lookupd = FakeLookupd.Server(on: loop, [])
        let url = HTTPURL(
            address: try lookupd.http.listen(at: SocketAddress(host: "127.0.0.1", port: 0)),
            target: "/")
        let poller = LookupPoller(
            of: plays, at: [url], options: options, on: loop, logger: quiet)
        var rest = hasNSQD[...]
        var intervals: [Int] = []
        var elapsed: Int?
        poller.onResult = { _ in
            if let elapsed { intervals.append(elapsed) }
            elapsed = 0
            guard let result = rest.popFirst() else {
                loop.onIterationEnd = nil
                poller.close()
                loop.runInNextIteration { lookupd.stop { loop.stop() } }
                return true
            }
            return result
        }
        poller.start()
        loop.onIterationEnd = { [weak loop] in
            // No request is in progress: the poller waits.
            guard elapsed != nil, lookupd.targets.count == intervals.count + 1 else { return }
            loop?.runInNextIteration {
                elapsed = elapsed.map { $0 + 250 }
                loop?.advance(by: .milliseconds(250))
            }
        }
        loop.run()
        loop.close()
        return intervals
    }

    @Test(.timeLimit(.minutes(5))) func `is short again after an nsqd was known`() throws {
        let polls = Array(repeating: false, count: 12) + [true, false]
        let intervals = try intervals(polls) { $0.jitter = 0 }
        // The first delay is 250 ms, and the longest is the interval of 60 s.
        #expect(intervals[11] > 25_000)
        #expect((60_000..<75_000).contains(intervals[12]))
        #expect(intervals[13] < 15_000)
    }

    @Test(.timeLimit(.minutes(5))) func `is longer by a random part up to the jitter`() throws {
        let intervals = try intervals(Array(repeating: true, count: 30)) { $0.jitter = 1 }
        #expect(intervals.allSatisfy { (60_000..<135_000).contains($0) })
        #expect(intervals.contains { $0 > 80_000 })
        #expect(intervals.contains { $0 < 100_000 })
    }

    /// Returns the failures of a poll at a server that sends `head` to each connection, and nothing else.
    private func failures(at head: String) throws -> [String]? {
        var options = LookupOptions()
        options.timeout = .seconds(7)
        let loop = try Loop(clock: .manual)
        var failures: [String]?
        var streams: [Stream] = []
        var poller: LookupPoller?
        let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { stream in
            streams.append(stream)
            let bytes = Array(head.utf8)
            if !bytes.isEmpty {
                _ = bytes.withUnsafeBytes { IOSlice.withSlice(of: $0, stream.tryWrite) }
            }
            // The client receives the head in an iteration before the last of these.
            func wait(_ iterations: Int) {
                guard iterations > 0 else {
                    loop.advance(by: .seconds(7))
                    return loop.runInNextIteration { loop.stop() }
                }
                loop.runInNextIteration { wait(iterations - 1) }
            }
            wait(100)
        }
        poller = LookupPoller(
            of: plays, at: [HTTPURL(address: listener.address, target: "/")], options: options,
            on: loop, logger: quiet)
        poller?.onResult = {
            failures = $0.failures
            return true
        }
        poller?.start()
        loop.run()
        poller?.close()
        listener.close()
        for stream in streams { stream.close() }
        loop.close()
        return failures
    }

    @Test func `begins after the timeout of an nsqlookupd that does not respond`() throws {
        #expect(try failures(at: "")?.count == 1)
    }

    @Test(arguments: [(LookupResponse.maxBytes, false), (LookupResponse.maxBytes + 1, true)])
    func `begins after a response that is too long`(length: Int, isTooLong: Bool) throws {
        let failures = try failures(at: "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n")
        let failure = try #require(failures?.first)
        #expect(failure.contains("\(LookupResponse.maxBytes)") == isTooLong)
    }
}
