/// An object that can live in a ``LoopHost``.
package protocol LoopHosted: AnyObject, SendableMetatype {
    /// Completes the pending work, closes all handles, and calls `done` once, on the loop.
    func stop(_ done: @escaping () -> Void)

    /// Closes all handles without completing the pending work. The host calls this method when it
    /// is deallocated before ``LoopHost/stop()``; the default implementation calls ``stop(_:)``.
    func abandon(_ done: @escaping () -> Void)
}

extension LoopHosted {
    package func abandon(_ done: @escaping () -> Void) { stop(done) }
}

/// An object with a loop thread of its own, or on a thread that several hosts share.
///
/// Starting and stopping are asynchronous: no caller blocks a thread of the cooperative pool.
///
/// The loop is not a serial executor for actors (SE-0392): libuv calls the objects on a loop, and
/// the objects call each other, synchronously. A closed loop refuses jobs, and an executor must
/// accept all jobs.
package final class LoopHost<Hosted: LoopHosted>: Sendable {
    private let use: LoopThreadLease
    private let hosted: LoopBound<Hosted>
    private let isStopping = LockedValue(false)

    /// Starts a thread and creates the object on it. Jobs that are submitted later run after the
    /// creation.
    ///
    /// - Parameters:
    ///   - name: the thread's name.
    ///   - clock: the clock of the loop's timers.
    ///   - create: creates the object on its loop.
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    package init(
        threadName name: String, clock: Loop.Clock = .system,
        _ create: @escaping @Sendable (Loop) -> Hosted
    ) throws(UVError) {
        use = LoopThreadLease(owning: try LoopThread(name: name, clock: clock))
        hosted = LoopBound(creatingOn: use.thread.mailbox, create)
    }

    /// Creates the object on a shared thread. Jobs that are submitted later run after the creation.
    ///
    /// - Parameters:
    ///   - shared: the thread.
    ///   - create: creates the object on its loop.
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    package init(
        sharing shared: SharedLoopThread, _ create: @escaping @Sendable (Loop) -> Hosted
    ) throws(UVError) {
        use = try LoopThreadLease(of: shared)
        hosted = LoopBound(creatingOn: use.thread.mailbox, create)
    }

    /// Starts a thread, creates the object on it, and returns when the object exists.
    ///
    /// - Parameters:
    ///   - name: the thread's name.
    ///   - niceness: 0 to 19; a higher value lowers the thread's priority, see ``LoopThread``.
    ///   - clock: the clock of the loop's timers.
    ///   - create: creates the object on its loop, and returns it with a description, such as its
    ///     bound address. When the closure throws, the thread ends.
    /// - Throws: the error of `create`; `UVError` if the process has no file descriptors or threads
    ///   left.
    package static func start<Description: Sendable>(
        threadName name: String, niceness: Int32 = 0, clock: Loop.Clock = .system,
        _ create: @escaping @Sendable (Loop) throws -> (Hosted, Description)
    ) async throws -> (host: LoopHost, description: Description) {
        let thread = try LoopThread(name: name, niceness: niceness, clock: clock)
        do {
            let (hosted, description) = try await withCheckedThrowingContinuation { continuation in
                thread.mailbox.submit { loop in
                    continuation.resume(
                        with: Result {
                            let (hosted, description) = try create(loop)
                            return (LoopBound(hosted, on: loop), description)
                        })
                }
            }
            return (LoopHost(hosted, on: thread), description)
        } catch {
            thread.stop()
            await thread.join()
            throw error
        }
    }

    private init(_ hosted: LoopBound<Hosted>, on thread: LoopThread) {
        self.hosted = hosted
        use = LoopThreadLease(owning: thread)
    }

    deinit {
        beginStop { $0.abandon($1) }
    }

    /// Runs `job` on the loop with the object, or with `nil` after the object has stopped.
    ///
    /// - Parameters:
    ///   - wakesLoop: see ``LoopMailbox/submit(wakesLoop:_:)``.
    ///   - job: the closure to run.
    /// - Returns: `true` if the job will run, `false` if the loop is closed.
    @discardableResult
    package func submit(
        wakesLoop: Bool = true, _ job: @escaping @Sendable (Hosted?) -> Void
    ) -> Bool {
        hosted.submit(wakesLoop: wakesLoop, job)
    }

    /// Runs `body` on the loop with the object.
    ///
    /// - Returns: the result of `body`; `nil` after the object has stopped.
    package func perform<Result: Sendable>(
        _ body: @escaping @Sendable (Hosted) -> Result
    ) async -> Result? {
        await withCheckedContinuation { continuation in
            let isOpen = submit { continuation.resume(returning: $0.map(body)) }
            if !isOpen { continuation.resume(returning: nil) }
        }
    }

    /// Advances the loop's manual clock, for tests.
    package func advance(by duration: Duration) async {
        await withCheckedContinuation { continuation in
            let isOpen = use.thread.mailbox.submit { loop in
                loop.advance(by: duration)
                continuation.resume()
            }
            if !isOpen { continuation.resume() }
        }
    }

    /// Stops the object, and then its thread if no other host uses the thread. Returns when the
    /// object has stopped, and the thread as well if no other host uses it. Further calls only wait.
    package func stop() async {
        beginStop { $0.stop($1) }
        await use.waitForEnd()
    }

    /// Ends the host's own thread without stopping the object, and returns when the thread has ended. The
    /// thread must not be shared.
    package func kill() async {
        use.thread.mailbox.submit { [hosted, use] loop in
            _ = hosted.removeValue(on: loop)
            use.finish()
        }
        await use.waitForEnd()
    }

    private func beginStop(
        _ stop: @escaping @Sendable (Hosted, @escaping () -> Void) -> Void
    ) {
        let isFirst = isStopping.withLock { isStopping in
            defer { isStopping = true }
            return !isStopping
        }
        guard isFirst else { return }
        use.thread.mailbox.submit { [hosted, use] loop in
            guard let object = hosted.value(on: loop) else { return }
            stop(object) {
                _ = hosted.removeValue(on: loop)
                use.finish()
            }
        }
    }
}
