import Dispatch
import TallyBasics
import UVLoop

/// Writes the state of the table to the data path after changes, on a thread of its own.
///
/// One write is in progress at a time. Changes during a write are part of the next write. The pause
/// between two writes is as long as the last write took, and at least ``shortestPause``. So writing
/// uses at most half of one thread's time, however large the state is and however often it changes.
final class StateSaver {
    private let file: StateFile
    private let loop: Loop
    private let queue = DispatchQueue(label: "nsqlookupd.state")
    private let timer: Timer
    private let revision: () -> Int
    private let json: () -> [UInt8]
    private let onFailure: (StateFileError) -> Void

    private var activity = Activity.idle
    private var storedRevision: Int
    private var waiting: [(revision: Int, done: (StateFileError?) -> Void)] = []
    private var whenClosed: (() -> Void)?

    private enum Activity { case idle, writing, pausing }

    static let shortestPause = Duration.milliseconds(10)
    /// The pause after a failed write.
    static let retryPause = Duration.seconds(1)

    /// - Parameters:
    ///   - storedRevision: the revision of the table that the file contains.
    ///   - revision: returns the current revision.
    ///   - json: returns the current state.
    ///   - onFailure: receives the error of each failed write, for the log.
    init(
        _ file: StateFile, on loop: Loop, storedRevision: Int,
        revision: @escaping () -> Int, json: @escaping () -> [UInt8],
        onFailure: @escaping (StateFileError) -> Void
    ) {
        self.file = file
        self.loop = loop
        self.storedRevision = storedRevision
        self.revision = revision
        self.json = json
        self.onFailure = onFailure
        timer = Timer(on: loop)
    }

    /// Schedules a write of the current state.
    ///
    /// - Parameter done: called with `nil` when the state is synced to disk, or with the error of a
    ///   failed write; `nil` if the caller does not need the result.
    func store(_ done: ((StateFileError?) -> Void)? = nil) {
        let revision = revision()
        guard revision > storedRevision else {
            done?(nil)
            return
        }
        if let done { waiting.append((revision, done)) }
        if case .idle = activity { write() }
    }

    /// Stores the last changes, and calls `done` once.
    func close(_ done: @escaping () -> Void) {
        store { [self] _ in
            timer.close()
            whenClosed = done
            finishClosing()
        }
    }

    private func finishClosing() {
        if case .writing = activity { return }
        whenClosed?()
        whenClosed = nil
    }

    private func write() {
        activity = .writing
        let (revision, json) = (revision(), json())
        let start = loop.nowNanoseconds
        let result = LoopBound(
            { [self] (error: StateFileError?) in finish(revision, start: start, error) }, on: loop)
        queue.async { [file] in
            var failure: StateFileError?
            do throws(StateFileError) { try file.write(json) } catch { failure = error }
            let error = failure
            result.submit { finish in finish?(error) }
        }
    }

    private func finish(_ revision: Int, start: Int64, _ error: StateFileError?) {
        if let error { onFailure(error) } else { storedRevision = revision }
        let finished = waiting.filter { error != nil || $0.revision <= revision }
        waiting.removeAll { error != nil || $0.revision <= revision }
        let duration = Duration.nanoseconds(loop.nowNanoseconds - start)
        activity = .pausing
        timer.start(after: error == nil ? max(Self.shortestPause, duration) : Self.retryPause) {
            [weak self] in self?.continueWriting()
        }
        for request in finished { request.done(error) }
        finishClosing()
    }

    private func continueWriting() {
        activity = .idle
        if revision() > storedRevision { write() }
    }
}
