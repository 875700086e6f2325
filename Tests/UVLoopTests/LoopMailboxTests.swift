import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `The mailbox of a loop` {
    @Test func `runs the jobs of several threads, each thread's in order of submission`()
        async throws
    {
        let thread = try LoopThread(name: "mailbox test")
        let numbers = LockedValue<[[Int]]>(Array(repeating: [], count: 4))
        await withTaskGroup { group in
            for sender in 0..<4 {
                group.addTask {
                    for number in 0..<1000 {
                        thread.mailbox.submit { _ in
                            numbers.withLock { $0[sender].append(number) }
                        }
                    }
                }
            }
        }
        thread.stop()
        await thread.join()
        #expect(numbers.withLock { $0 } == Array(repeating: Array(0..<1000), count: 4))
    }

    @Test func `accepts a job before the loop runs, and a job submitted by a job`() throws {
        let calls = LockedValue<[Int]>([])
        try onLoop { loop in
            loop.mailbox.submit { loop in
                calls.withLock { $0.append(1) }
                loop.mailbox.submit { _ in calls.withLock { $0.append(2) } }
            }
        }
        #expect(calls.withLock { $0 } == [1, 2])
    }

    @Test
    func `runs a job that was submitted without a wake-up when something else wakes the loop`()
        async throws
    {
        let thread = try LoopThread(name: "lazy")
        let numbers = LockedValue<[Int]>([])
        func append(_ number: Int, wakesLoop: Bool) {
            thread.mailbox.submit(wakesLoop: wakesLoop) { _ in
                numbers.withLock { $0.append(number) }
            }
        }
        for number in 0..<100 { append(number, wakesLoop: number % 10 == 9) }
        while numbers.withLock({ $0.count }) < 100 { await Task.yield() }
        append(100, wakesLoop: false)
        thread.stop()
        await thread.join()
        #expect(numbers.withLock { $0 } == Array(0...100))
    }

    @Test func `runs accepted jobs when the loop closes, and refuses later ones`() throws {
        let loop = try Loop()
        let mailbox = loop.mailbox
        let ran = LockedValue(false)
        #expect(mailbox.submit { _ in ran.withLock { $0 = true } })
        loop.close()
        #expect(ran.withLock { $0 })
        #expect(!mailbox.submit { _ in })
    }

    @Test func `gives jobs access to an object that lives on the loop`() async throws {
        let thread = try LoopThread(name: "resident")
        let numbers = LoopBound(creatingOn: thread.mailbox) { _ in Collector() }
        let result = LockedValue<[UInt8]>([])
        for number in UInt8(0)..<10 { numbers.submit { $0?.bytes.append(number) } }
        numbers.submit { collector in
            let bytes = collector?.bytes ?? []
            result.withLock { $0 = bytes }
        }
        thread.stop()
        await thread.join()
        #expect(result.withLock { $0 } == Array(0..<10))
    }

    @Test func `refuses jobs after its loop was deallocated`() throws {
        var loop: Loop? = try Loop()
        let mailbox = loop!.mailbox
        loop = nil
        #expect(!mailbox.submit { _ in })
    }
}

@Suite(.blocking) struct `A loop thread` {
    @Test func `stops even when the stop comes before its loop runs`() throws {
        for _ in 0..<50 {
            let thread = try LoopThread(name: "a name longer than fifteen bytes")
            thread.stop()
            thread.join()
            thread.join()
            #expect(!thread.mailbox.submit { _ in })
        }
    }

    @Test func `can be awaited several times, also after it has ended`() async throws {
        let thread = try LoopThread(name: "awaited")
        async let other: Void = thread.join()
        thread.stop()
        await thread.join()
        await other
        await thread.join()
        #expect(!thread.mailbox.submit { _ in })
    }
}

@Suite(.blocking) struct `A loop host` {
    /// An object that completes its stop after an hour of the loop's clock.
    private final class Resident: LoopHosted {
        let loop: Loop
        let calls: LockedValue<[String]>

        init(on loop: Loop, _ calls: LockedValue<[String]>) {
            self.loop = loop
            self.calls = calls
        }

        func record(_ call: String) { calls.withLock { $0.append(call) } }

        func stop(_ done: @escaping () -> Void) {
            record("stop")
            Timer(on: loop).start(after: .seconds(3600), done)
        }

        func abandon(_ done: @escaping () -> Void) {
            record("abandon")
            done()
        }
    }

    private let calls = LockedValue<[String]>([])

    @Test func `stops its object once, and then its thread`() async throws {
        let (host, number) = try await LoopHost.start(threadName: "host", clock: .manual) {
            [calls] loop in (Resident(on: loop, calls), 7)
        }
        #expect(number == 7)
        async let first: Void = host.stop()
        async let second: Void = host.stop()
        // `perform` fails only after the thread has ended, which takes an hour of the manual clock.
        while await host.perform({ _ in true }) == true { await host.advance(by: .seconds(600)) }
        await first
        await second
        #expect(calls.withLock { $0 } == ["stop"])
        #expect(!host.submit { _ in })
    }

    @Test func `abandons its object when it is deallocated`() async throws {
        do {
            let host = try LoopHost(threadName: "host") { [calls] in Resident(on: $0, calls) }
            #expect(await host.perform { $0.calls.withLock { $0.count } } == 0)
        }
        while calls.withLock({ $0.isEmpty }) { await Task.yield() }
        #expect(calls.withLock { $0 } == ["abandon"])
    }

    @Test func `ends its thread when its object cannot be created`() async throws {
        await #expect(throws: UVError.addressInUse) {
            try await LoopHost<Resident>.start(threadName: "host") { _ -> (Resident, Int) in
                throw UVError.addressInUse
            }
        }
    }

    @Test func `can end its thread without stopping its object`() async throws {
        let host = try LoopHost(threadName: "host") { [calls] in Resident(on: $0, calls) }
        await host.kill()
        #expect(calls.withLock { $0.isEmpty })
        #expect(await host.perform { _ in true } == nil)
    }
}
