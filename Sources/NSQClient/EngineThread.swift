import UVLoop

/// What a producer or a consumer is without its thread.
protocol Engine: AnyObject, SendableMetatype {
    /// Brings to an end what is under way, and closes.
    func stop(_ done: @escaping () -> Void)

    /// Closes at once.
    func abandon()
}

/// An engine on a thread of its own, from the first job until it is stopped or let go of.
final class EngineThread<Hosted: Engine>: Sendable {
    private let thread: LoopThread
    private let engine: LoopBound<Hosted>

    /// - Parameter make: makes and starts the engine, on its thread.
    /// - Throws: ``NSQError/unreachable(address:reason:)`` if the process has no file descriptors or
    ///   threads left.
    init(
        for purpose: String, of address: String, _ make: @escaping @Sendable (Loop) -> Hosted
    ) throws(NSQError) {
        do throws(UVError) {
            thread = try LoopThread(name: "nsq \(purpose)")
        } catch {
            throw .unreachable(address: address, reason: error.description)
        }
        engine = LoopBound(behind: thread.door, make)
    }

    deinit {
        thread.door.submit { [engine] loop in engine.takeOut(on: loop)?.abandon() }
    }

    /// Runs `job` on the engine's thread.
    ///
    /// - Returns: whether it will run; false once the engine has been stopped.
    @discardableResult
    func submit(_ job: @escaping @Sendable (Hosted?) -> Void) -> Bool {
        engine.submit(job)
    }

    /// Stops the engine and then the thread. May be called again.
    func stop() async {
        await withCheckedContinuation { continuation in
            let runs = engine.submit { [thread] engine in
                engine?.stop {
                    thread.stop()
                    continuation.resume()
                }
            }
            if !runs { continuation.resume() }
        }
    }
}
