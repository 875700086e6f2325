import CLibuv
import Glibc

/// An event loop, and the thread that runs it is the only one that may touch it.
///
/// A turn goes: timers; what the last one left; end of turn; wait for I/O; callbacks of I/O and of
/// jobs from the door; end of turn; close callbacks. What the turn has to send is best gathered and
/// sent at its end, one write a connection: see `endOfTurn` and `atEndOfTurn(_:)`.
package final class Loop {
    /// Where other threads knock.
    package let door: LoopDoor

    /// Runs at the end of every turn, after the callbacks of I/O (libuv's check phase), and once
    /// more right before the loop waits (its prepare phase), so that what timers and jobs from the
    /// door have caused goes out before the wait, too.
    package var endOfTurn: (() -> Void)?

    /// Told of each turn how long it took, without the time it waited; in nanoseconds.
    private var onTurn: ((Int64) -> Void)?
    private var turnBegan: (now: Int64, idle: UInt64) = (0, 0)

    /// How much each stream may read in this turn.
    var reading = TurnShare(most: 2 << 20, least: 16 << 10)

    /// Counts the turns.
    package private(set) var turn = 0

    /// What came in lately, if the loop waits eagerly.
    private var eagerWait: EagerWait?

    let memory: UnsafeMutablePointer<uv_loop_t>
    private let prepare: UnsafeMutablePointer<uv_prepare_t>
    private let check: UnsafeMutablePointer<uv_check_t>
    /// While it is on, libuv looks for I/O and does not wait.
    private let idle: UnsafeMutablePointer<uv_idle_t>
    /// Is on while something is left for the next turn.
    let nextTurn: UnsafeMutablePointer<uv_idle_t>
    var leftForNextTurn: [() -> Void] = []
    private var participants: [any EndOfTurnParticipant] = []
    private var isRunning = false
    private var isStopped = false
    private(set) var isClosed = false

    package init() throws(UVError) {
        precondition(IOSlice.isLaidOutAsLibuvs, "slices pass to libuv as they are")
        _ = Self.brokenPipesAreErrors
        memory = .allocate(capacity: 1)
        memory.initialize(to: uv_loop_t())
        let status = uv_loop_init(memory)
        guard status == 0 else {
            memory.deallocate()
            throw UVError(code: status)
        }
        do throws(UVError) {
            door = try LoopDoor(of: memory)
        } catch {
            uv_loop_close(memory)
            memory.deallocate()
            throw error
        }
        prepare = .allocate(capacity: 1)
        prepare.initialize(to: uv_prepare_t())
        check = .allocate(capacity: 1)
        check.initialize(to: uv_check_t())
        idle = .allocate(capacity: 1)
        idle.initialize(to: uv_idle_t())
        nextTurn = .allocate(capacity: 1)
        nextTurn.initialize(to: uv_idle_t())
        // SAFETY: not retained, for the loop outlives its own handles: `deinit` closes them.
        uv_loop_set_data(memory, Unmanaged.passUnretained(self).toOpaque())
        watchTurns()
    }

    deinit {
        // Every handle of others refers to the loop, so only our own can be open here.
        close()
        prepare.deallocate()
        check.deallocate()
        idle.deallocate()
        nextTurn.deallocate()
        memory.deallocate()
    }

    /// Runs until `stop()` is called or nothing is left that could still call back.
    package func run() {
        precondition(!isRunning && !isClosed, "a loop runs once at a time, and not once closed")
        isRunning = true
        defer { isRunning = false }
        isStopped = false
        repeat {
            // The bell alone does not keep the loop running, so look for jobs before and after.
            door.runJobs(on: self)
            if !isStopped { uv_run(memory, UV_RUN_DEFAULT) }
        } while !isStopped && (door.hasJobs || uv_loop_alive(memory) != 0)
    }

    /// Lets `run()` return at the end of this turn. The loop can run again later.
    package func stop() {
        isStopped = true
        uv_stop(memory)
    }

    /// The monotonic clock, read anew at each call.
    package var nowNanoseconds: Int64 {
        Int64(uv_hrtime())
    }

    /// The wall clock: nanoseconds since 1970, and it may jump.
    package var wallClockNanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Calls `participant.turnEnds()` once, at the end of this turn, after `endOfTurn`.
    ///
    /// For those who have something to send now and then: joining costs nothing in other turns.
    package func atEndOfTurn(_ participant: any EndOfTurnParticipant) {
        participants.append(participant)
    }

    /// Closes every handle that is left, waits for their callbacks, and closes the loop.
    ///
    /// Writes and connects under way get `ECANCELED`. Jobs that wait at the door run, then it refuses.
    package func close() {
        precondition(!isRunning, "close a loop after run() has returned")
        guard !isClosed else { return }
        isClosed = true
        door.lock(for: self)
        while uv_loop_close(memory) == UV_EBUSY.rawValue {
            uv_walk(memory, { handle, _ in Loop.close(handle: handle!) }, nil)
            uv_run(memory, UV_RUN_DEFAULT)
        }
        endOfTurn = nil
        onTurn = nil
        participants = []
        leftForNextTurn = []
    }

    /// Has every turn from now on measured: what others had to wait for.
    package func measureTurns(_ body: @escaping (Int64) -> Void) {
        uv_loop_measure_idle_time(memory)
        turnBegan = (nowNanoseconds, uv_metrics_idle_time(memory))
        onTurn = body
    }

    /// Has the loop look for news for so long before it lets the system wake it, where news come as
    /// quickly as that; zero is not at all. With a single processor that would keep them away.
    package func waitEagerly(for time: Duration) {
        guard time > .zero, sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 else { return eagerWait = nil }
        eagerWait = EagerWait(for: Int64(time / .nanoseconds(1)))
    }

    /// Something came in.
    func hasNews() { eagerWait?.news() }

    /// Called right before the loop waits.
    private func waits() {
        turn += 1
        measureTurn()
        guard eagerWait != nil else { return }
        if eagerWait!.waits(at: nowNanoseconds) {
            uv_idle_start(idle) { _ in }
        } else {
            uv_idle_stop(idle)
        }
    }

    private func measureTurn() {
        guard let onTurn else { return }
        let end = (now: nowNanoseconds, idle: uv_metrics_idle_time(memory))
        let time = max(0, end.now - turnBegan.now - Int64(end.idle - turnBegan.idle))
        let hasOnlyLooked = eagerWait?.hasOnlyLooked(for: time) == true
        if !hasOnlyLooked { onTurn(time) }
        turnBegan = end
    }

    /// Makes `run()` wait for jobs even when nothing else is going on.
    func waitForJobs() {
        door.keepLoopRunning()
    }

    /// The loop that a callback's handle lives on.
    static func of<Kind>(_ pointer: UnsafeMutablePointer<Kind>?) -> Loop {
        // SAFETY: handles are closed before the loop, so the loop's data pointer is still good.
        let handle = UnsafeRawPointer(pointer!).assumingMemoryBound(to: uv_handle_t.self)
        let data = uv_loop_get_data(uv_handle_get_loop(handle))
        return Unmanaged<Loop>.fromOpaque(data!).takeUnretainedValue()
    }

    private func watchTurns() {
        uv_prepare_init(memory, prepare)
        uv_prepare_start(prepare) {
            let loop = Loop.of($0)
            loop.endTurn()
            loop.waits()
        }
        uv_check_init(memory, check)
        uv_check_start(check) {
            let loop = Loop.of($0)
            loop.eagerWait?.waited(until: loop.nowNanoseconds)
            loop.endTurn()
        }
        uv_idle_init(memory, idle)
        uv_idle_init(memory, nextTurn)
        // Watching the turns is no reason to make another one.
        for own in [UnsafeMutableRawPointer(prepare), .init(check), .init(idle)] {
            uv_unref(own.assumingMemoryBound(to: uv_handle_t.self))
        }
    }

    private func endTurn() {
        endOfTurn?()
        // By index: a participant may cause another one to join while it sends.
        var next = 0
        while next < participants.count {
            participants[next].turnEnds()
            next += 1
        }
        participants.removeAll(keepingCapacity: true)
    }

    private static func close(handle: UnsafeMutablePointer<uv_handle_t>) {
        guard uv_is_closing(handle) == 0 else { return }
        // The loop's own handles carry no data; their memory is freed by whoever allocated it.
        if uv_handle_get_data(handle) == nil {
            uv_close(handle, nil)
        } else {
            Handle.behind(handle).close()
        }
    }

    /// Writing to a connection the peer has left must be `EPIPE`, not the end of the process.
    private static let brokenPipesAreErrors: Void = {
        _ = signal(SIGPIPE, SIG_IGN)
    }()
}

/// Something that has work to do when the loop's turn ends, most often to send what it gathered.
package protocol EndOfTurnParticipant: AnyObject {
    func turnEnds()
}
