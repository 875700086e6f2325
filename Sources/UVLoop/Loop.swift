import CLibuv
import Glibc

/// An event loop. Only the thread that runs the loop may access the loop and the objects on it.
/// Other threads submit jobs to its ``mailbox``.
///
/// The steps of one iteration are: timers; closures of ``runInNextIteration(_:)``; iteration end;
/// wait for I/O; I/O callbacks and mailbox jobs; iteration end; close callbacks. Connections
/// collect their output and send it in one write at the iteration end: see ``onIterationEnd`` and
/// ``callAtIterationEnd(_:)``.
package final class Loop {
    /// Accepts jobs from other threads.
    package let mailbox: LoopMailbox

    /// Runs twice per iteration: after the I/O callbacks (libuv's check phase), and before the loop
    /// waits for I/O (libuv's prepare phase), so that the output of timers is sent before the wait.
    package var onIterationEnd: (() -> Void)?

    /// The number of the current iteration. It increases just before the wait for I/O, so timers and
    /// closures of ``runInNextIteration(_:)`` still have the number of the previous iteration.
    package private(set) var iteration = 0

    /// Limits the bytes that each stream may read in this iteration.
    var readQuota = IterationQuota(totalBytes: 2 << 20, minimumBytes: 16 << 10)

    let memory: UnsafeMutablePointer<uv_loop_t>
    let manualClock: ManualClock?
    private let prepare = Loop.allocate(uv_prepare_t())
    private let check = Loop.allocate(uv_check_t())
    /// While this idle handle is active, libuv polls for I/O and does not block.
    private let pollIdle = Loop.allocate(uv_idle_t())
    /// This idle handle is active while closures are deferred to the next iteration.
    private let deferIdle = Loop.allocate(uv_idle_t())
    private var deferredToNextIteration: [() -> Void] = []
    private var iterationEndHandlers: [any IterationEndHandler] = []
    private var busyPoll: BusyPoll?
    private var onIterationMeasured: ((Int64) -> Void)?
    private var iterationStart: (now: Int64, idle: UInt64) = (0, 0)
    private var isRunning = false
    private var isStopped = false
    private var isClosed = false

    /// The clock of a loop's timers and of ``nowNanoseconds``.
    package enum Clock: Sendable {
        /// The system's monotonic clock.
        case system
        /// A clock for tests, which only ``Loop/advance(by:)`` moves.
        case manual
    }

    /// Creates a loop.
    ///
    /// - Throws: `UVError` if the process has no file descriptors left.
    package init(clock: Clock = .system) throws(UVError) {
        precondition(IOSlice.hasLayoutOfLibuvBuffer, "slices are passed to libuv unconverted")
        _ = Self.sigpipeIsIgnored
        manualClock = clock == .manual ? ManualClock() : nil
        memory = Loop.allocate(uv_loop_t())
        let status = uv_loop_init(memory)
        guard status == 0 else {
            memory.deallocate()
            throw UVError(code: status)
        }
        do throws(UVError) {
            mailbox = try LoopMailbox(of: memory)
        } catch {
            uv_loop_close(memory)
            memory.deallocate()
            throw error
        }
        // SAFETY: libuv does not retain the loop; `deinit` closes the loop's own handles before the
        // memory is freed.
        uv_loop_set_data(memory, Unmanaged.passUnretained(self).toOpaque())
        startOwnHandles()
    }

    deinit {
        // Every other handle retains the loop, so only the loop's own handles can be open here.
        close()
        prepare.deallocate()
        check.deallocate()
        pollIdle.deallocate()
        deferIdle.deallocate()
        memory.deallocate()
    }

    // MARK: Running

    /// Runs until ``stop()`` is called, or until no handle, request or job is left.
    package func run() {
        precondition(!isRunning && !isClosed, "a loop runs once at a time, and not after close()")
        isRunning = true
        defer { isRunning = false }
        isStopped = false
        repeat {
            // A pending job does not keep `uv_run` from returning, so jobs are checked before and
            // after it.
            mailbox.runJobs(on: self)
            if !isStopped { uv_run(memory, UV_RUN_DEFAULT) }
        } while !isStopped && (mailbox.hasJobs || uv_loop_alive(memory) != 0)
    }

    /// Lets ``run()`` return at the end of this iteration. The loop can run again later.
    package func stop() {
        isStopped = true
        uv_stop(memory)
    }

    /// Closes every open handle, waits for the close callbacks, and closes the loop.
    ///
    /// Pending writes and connects fail with `ECANCELED`. Jobs that are already in the mailbox
    /// still run; the mailbox refuses later jobs.
    package func close() {
        precondition(!isRunning, "close() is called after run() has returned")
        guard !isClosed else { return }
        isClosed = true
        mailbox.close(runningJobsOn: self)
        while uv_loop_close(memory) == UV_EBUSY.rawValue {
            uv_walk(memory, { handle, _ in Loop.close(handle: handle!) }, nil)
            uv_run(memory, UV_RUN_DEFAULT)
        }
        onIterationEnd = nil
        onIterationMeasured = nil
        iterationEndHandlers = []
        deferredToNextIteration = []
    }

    // MARK: Iterations

    /// Calls `handler` once at the end of this iteration, after ``onIterationEnd``.
    ///
    /// Objects that seldom send use this method instead of ``onIterationEnd``, because it costs
    /// nothing in other iterations.
    package func callAtIterationEnd(_ handler: any IterationEndHandler) {
        iterationEndHandlers.append(handler)
    }

    /// Runs `body` once, early in the next iteration; a call from a timer runs `body` in the same
    /// iteration. The loop does not block before it runs `body`. It polls for I/O before it runs
    /// closures that `body` itself defers.
    ///
    /// A timer without delay cannot replace this method: if a timer's callback starts the timer
    /// again, libuv calls it again in the same iteration (`uv__run_timers` of libuv 1.44).
    package func runInNextIteration(_ body: @escaping () -> Void) {
        guard !isClosed else { return }
        deferredToNextIteration.append(body)
        uv_idle_start(deferIdle) { Loop.owner(of: $0).runDeferred() }
    }

    private func runDeferred() {
        let bodies = deferredToNextIteration
        deferredToNextIteration = []
        for body in bodies { body() }
        if deferredToNextIteration.isEmpty { uv_idle_stop(deferIdle) }
    }

    private func endIteration() {
        onIterationEnd?()
        // The handlers are called by index, because a handler may append another handler.
        var next = 0
        while next < iterationEndHandlers.count {
            iterationEndHandlers[next].handleIterationEnd()
            next += 1
        }
        iterationEndHandlers.removeAll(keepingCapacity: true)
    }

    /// Starts to measure the duration of every iteration.
    ///
    /// - Parameter body: receives the duration of an iteration in nanoseconds, without the wait for
    ///   I/O.
    package func measureIterations(_ body: @escaping (Int64) -> Void) {
        uv_loop_measure_idle_time(memory)
        iterationStart = (Self.systemNanoseconds, uv_metrics_idle_time(memory))
        onIterationMeasured = body
    }

    private func measureIteration() {
        guard let onIterationMeasured else { return }
        let end = (now: Self.systemNanoseconds, idle: uv_metrics_idle_time(memory))
        let idle = Int64(end.idle - iterationStart.idle)
        let duration = max(0, end.now - iterationStart.now - idle)
        if busyPoll?.isEmptyPoll(ofDuration: duration) != true { onIterationMeasured(duration) }
        iterationStart = end
    }

    // MARK: Busy polling

    /// Makes the loop poll for up to `limit` before it blocks in `epoll_wait`, if the last input
    /// arrived within `limit`. With a single processor busy polling stays off, because it would
    /// delay the sender.
    ///
    /// - Parameter limit: the maximum time of one busy poll; zero turns busy polling off.
    package func enableBusyPoll(for limit: Duration) {
        guard limit > .zero, sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 else { return busyPoll = nil }
        busyPoll = BusyPoll(timeLimit: Int64(limit / .nanoseconds(1)))
    }

    /// Records that a stream received bytes.
    func recordInput() { busyPoll?.recordInput() }

    private func prepareToWait() {
        iteration += 1
        measureIteration()
        guard busyPoll != nil else { return }
        if busyPoll!.shouldPoll(at: Self.systemNanoseconds) {
            uv_idle_start(pollIdle) { _ in }
        } else {
            uv_idle_stop(pollIdle)
        }
    }

    // MARK: Own handles

    /// Makes ``run()`` wait for jobs when no other handle is open.
    func keepRunningForJobs() {
        mailbox.keepLoopRunning()
    }

    /// Returns the loop of the C handle passed to a callback.
    static func owner<Kind>(of pointer: UnsafeMutablePointer<Kind>?) -> Loop {
        // SAFETY: handles are closed before the loop, so the loop's data pointer is still valid.
        let handle = UnsafeRawPointer(pointer!).assumingMemoryBound(to: uv_handle_t.self)
        let data = uv_loop_get_data(uv_handle_get_loop(handle))
        return Unmanaged<Loop>.fromOpaque(data!).takeUnretainedValue()
    }

    private func startOwnHandles() {
        uv_prepare_init(memory, prepare)
        uv_prepare_start(prepare) {
            let loop = Loop.owner(of: $0)
            loop.endIteration()
            loop.prepareToWait()
        }
        uv_check_init(memory, check)
        uv_check_start(check) {
            let loop = Loop.owner(of: $0)
            loop.busyPoll?.waitEnded(at: Loop.systemNanoseconds)
            // Runs the jobs that were submitted without a wake-up.
            loop.mailbox.runJobs(on: loop)
            loop.endIteration()
        }
        uv_idle_init(memory, pollIdle)
        uv_idle_init(memory, deferIdle)
        // These handles alone must not keep the loop running.
        for own in [UnsafeMutableRawPointer(prepare), .init(check), .init(pollIdle)] {
            uv_unref(own.assumingMemoryBound(to: uv_handle_t.self))
        }
    }

    private static func close(handle: UnsafeMutablePointer<uv_handle_t>) {
        guard uv_is_closing(handle) == 0 else { return }
        // The loop's own handles have no data pointer; the loop itself frees their memory.
        if uv_handle_get_data(handle) == nil {
            uv_close(handle, nil)
        } else {
            Handle.object(of: handle).close()
        }
    }

    private static func allocate<Kind>(_ value: Kind) -> UnsafeMutablePointer<Kind> {
        let pointer = UnsafeMutablePointer<Kind>.allocate(capacity: 1)
        pointer.initialize(to: value)
        return pointer
    }

    /// Ignores SIGPIPE, so that a write to a closed connection fails with `EPIPE` instead of ending
    /// the process.
    private static let sigpipeIsIgnored: Void = {
        _ = signal(SIGPIPE, SIG_IGN)
    }()
}

/// An object that works at the end of a loop iteration, most often to send its collected output.
package protocol IterationEndHandler: AnyObject {
    /// Runs once for each call of ``Loop/callAtIterationEnd(_:)``.
    func handleIterationEnd()
}
