import Testing
import UVLoop

@Suite struct `The door of a loop` {
    @Test func `lets jobs of many threads in, each thread's in order`() async throws {
        let thread = try LoopThread(name: "door test")
        let seen = Guarded<[[Int]]>(Array(repeating: [], count: 4))
        await withTaskGroup { group in
            for visitor in 0..<4 {
                group.addTask {
                    for number in 0..<1000 {
                        thread.door.submit { _ in seen.withLock { $0[visitor].append(number) } }
                    }
                }
            }
        }
        thread.stop()
        thread.join()
        #expect(seen.withLock { $0 } == Array(repeating: Array(0..<1000), count: 4))
    }

    @Test func `takes a job before the loop runs, and one a job submits`() throws {
        let said = Guarded<[Int]>([])
        try onLoop { loop in
            loop.door.submit { loop in
                said.withLock { $0.append(1) }
                loop.door.submit { _ in said.withLock { $0.append(2) } }
            }
        }
        #expect(said.withLock { $0 } == [1, 2])
    }

    @Test func `runs what it let in when the loop closes, then refuses quietly`() throws {
        let loop = try Loop()
        let door = loop.door
        let ran = Guarded(false)
        #expect(door.submit { _ in ran.withLock { $0 = true } })
        loop.close()
        #expect(ran.withLock { $0 })
        #expect(!door.submit { _ in })
    }

    @Test func `leads to what lives on the loop`() throws {
        let thread = try LoopThread(name: "resident")
        let numbers = LoopBound(behind: thread.door) { _ in Collector() }
        let seen = Guarded<[UInt8]>([])
        for number in UInt8(0)..<10 { numbers.submit { $0?.bytes.append(number) } }
        numbers.submit { collector in
            let bytes = collector?.bytes ?? []
            seen.withLock { $0 = bytes }
        }
        thread.stop()
        thread.join()
        #expect(seen.withLock { $0 } == Array(0..<10))
    }

    @Test func `outlives its loop`() throws {
        var loop: Loop? = try Loop()
        let door = loop!.door
        loop = nil
        #expect(!door.submit { _ in })
    }
}

@Suite struct `A loop's thread` {
    @Test func `stops even when told before it began`() throws {
        for _ in 0..<50 {
            let thread = try LoopThread(name: "a name longer than fifteen bytes")
            thread.stop()
            thread.join()
            thread.join()
            #expect(!thread.door.submit { _ in })
        }
    }
}
