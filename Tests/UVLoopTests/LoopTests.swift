import Testing
import UVLoop

@Suite struct `A loop` {
    @Test func `returns when nothing is left to do`() throws {
        try onLoop { _ in }
    }

    @Test func `stops when told, and can run again`() throws {
        var turns = 0
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .zero, repeating: .milliseconds(1)) {
                turns += 1
                loop.stop()
            }
            loop.run()
            #expect(turns == 1)
        }
        #expect(turns == 2)
    }

    @Test func `tells of the end of the turn after timers and after jobs from the door`() throws {
        let said = Guarded<[String]>([])
        let say = { (word: String) in
            said.withLock { if $0.last != word { $0.append(word) } }
        }
        try onLoop { loop in
            Timer(on: loop).start(after: .zero) {
                loop.endOfTurn = { say("end") }
                loop.atEndOfTurn(Once { say("participant") })
                say("timer")
            }
            Timer(on: loop).start(after: .milliseconds(5)) {
                say("second timer")
                loop.door.submit { loop in
                    said.withLock { $0.append("job") }
                    loop.stop()
                }
            }
        }
        let expected = ["timer", "end", "participant", "end", "second timer", "end", "job", "end"]
        #expect(said.withLock { $0 } == expected)
    }

    @Test func `calls a participant once, also one that joins while the turn ends`() throws {
        var said: [Int] = []
        try onLoop { loop in
            loop.atEndOfTurn(
                Once {
                    said.append(1)
                    loop.atEndOfTurn(Once { said.append(2) })
                })
            Timer(on: loop).start(after: .milliseconds(2)) {}
        }
        #expect(said == [1, 2])
    }

    @Test func `has I/O between what one turn leaves and what the next one does`() throws {
        let said = Guarded<[String]>([])
        try onLoop { loop in
            func goOn(_ times: Int) {
                said.withLock { $0.append("left") }
                // The bell is I/O like any other.
                loop.door.submit { _ in said.withLock { $0.append("I/O") } }
                if times > 1 { loop.inNextTurn { goOn(times - 1) } }
            }
            loop.inNextTurn { goOn(3) }
            #expect(said.withLock { $0.isEmpty })
        }
        #expect(said.withLock { $0 } == ["left", "I/O", "left", "I/O", "left", "I/O"])
    }

    @Test func `forgets what was left for a turn that does not come`() throws {
        let loop = try Loop()
        loop.inNextTurn { Issue.record("called though the loop is closed") }
        loop.close()
        loop.inNextTurn { Issue.record("called though the loop is closed") }
    }

    @Test func `closes what is left open`() throws {
        weak var left: Timer?
        var closed = false
        try onLoop { loop in
            let timer = Timer(on: loop)
            timer.start(after: .seconds(3600)) {}
            left = timer
            Timer(on: loop).start(after: .zero) {
                timer.close { closed = true }
                loop.stop()
            }
        }
        #expect(closed)
        #expect(left == nil)
    }

    private final class Once: EndOfTurnParticipant {
        let body: () -> Void

        init(_ body: @escaping () -> Void) {
            self.body = body
        }

        func turnEnds() {
            body()
        }
    }
}
