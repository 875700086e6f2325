import Logging
import TallyBasics
import UVLoop

/// Publishes the totals of a shared store to one client, while this process holds the client's
/// lease.
///
/// It reads the totals that are due, makes their calls, records the accepted ones, and reads again.
/// All state that another process needs is in the store: what a client has not accepted, and until
/// when it must be published.
final class SharedClientPublisher {
    /// The time between reads while there are totals to publish.
    private static let busyInterval = Duration.milliseconds(50)
    /// The maximum time between reads.
    private static let idleInterval = Duration.milliseconds(200)
    private static let retryDelay = Duration.milliseconds(500)

    /// The work under one epoch of the lease.
    private final class Tenure {
        let epoch: Int
        let publisher: ClientPublisher
        let sink: LeasedSink
        var isReading = false
        var isRecording = false
        /// The totals that the client has accepted and that are not recorded yet.
        var accepted: [PlayCount] = []
        var readAt: Int64 = 0
        /// The time before which accepted totals are not recorded, after an error.
        var recordAt = MonotonicInstant.start
        var nextReadAt = MonotonicInstant.start
        var busySince = MonotonicInstant.start
        var interval = SharedClientPublisher.busyInterval

        init(epoch: Int, publisher: ClientPublisher, sink: LeasedSink) {
            self.epoch = epoch
            self.publisher = publisher
            self.sink = sink
        }
    }

    private let client: Client
    private let number: ClientNumber
    private let store: SharedStore
    private let loop: Loop
    private let settings: PlayProcessor.Settings
    private let holder: String
    private let logger: Logger
    private let timer: Timer
    private var lease: PublisherLease
    private var tenure: Tenure?
    /// Called when everything is published and the lease is released; `nil` while running.
    private var stopCompletion: (() -> Void)?
    private var isClosed = false

    /// Creates a publisher.
    ///
    /// - Parameter holder: a random text that identifies this process.
    init(
        to client: Client, number: ClientNumber, store: SharedStore, holder: String,
        settings: PlayProcessor.Settings, lease: PublisherLease.Settings, logger: Logger
    ) {
        self.client = client
        self.number = number
        self.store = store
        self.settings = settings
        self.holder = holder
        self.logger = logger
        loop = store.loop
        timer = Timer(on: loop)
        self.lease = PublisherLease(lease, at: loop.instant)
    }

    /// Starts to acquire the lease.
    func start() { update() }

    /// Reads soon, because this process has counted plays.
    func countsChanged() {
        guard let tenure else { return }
        tenure.interval = Self.busyInterval
        let earliest = tenure.busySince + Self.busyInterval
        tenure.nextReadAt = min(tenure.nextReadAt, max(loop.instant, earliest))
        update()
    }

    /// Publishes everything that the client has not accepted, and then releases the lease.
    ///
    /// - Parameter done: called at once if this process does not hold the lease.
    func stop(_ done: @escaping () -> Void) {
        guard let tenure else {
            close()
            return done()
        }
        stopCompletion = done
        tenure.nextReadAt = .start
        tenure.publisher.endRetryPause()
        update()
    }

    /// Closes the sink. No callback runs after this. A lease that is held expires.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        endTenure()
        timer.close()
        client.sink.close()
    }

    // MARK: Lease

    private func update() {
        guard !isClosed else { return }
        let now = loop.instant
        if let request = lease.nextRequest(at: now) { send(request, at: now) }
        if let epoch = lease.heldEpoch(at: now) {
            if tenure?.epoch != epoch { beginTenure(epoch) }
        } else if tenure != nil {
            logger.warning("this process no longer publishes to \(client.name)")
            endTenure()
            stopCompletion?()
            stopCompletion = nil
        }
        if let tenure { work(tenure, at: now) }
        updateTimer()
    }

    private func send(_ request: PublisherLease.Request, at start: MonotonicInstant) {
        store.request(request, of: number, holder: holder, lease.settings) { [weak self] result in
            guard let self, !isClosed else { return }
            let now = loop.instant
            switch result {
            case .success(.acquired(let epoch, let wasTakenOver)):
                lease.acquired(
                    epoch: epoch, wasTakenOver: wasTakenOver, requestedAt: start, at: now)
            case .success(.refused(let renewals)): lease.refused(renewals: renewals, at: now)
            case .success(.renewed): lease.renewed(requestedAt: start)
            case .success(.lost): lease.lost(at: now)
            case .failure(let error):
                logger.debug("lease of \(client.name): \(error)")
                lease.failed(at: now, retryAfter: Self.retryDelay)
            }
            update()
        }
    }

    private func beginTenure(_ epoch: Int) {
        endTenure()
        logger.info("this process publishes to \(client.name)")
        let sink = LeasedSink(
            client.sink, deadline: lease.settings.callDeadline, on: loop
        ) { [weak self] in self.map { $0.lease.mayCall(at: $0.loop.instant) } ?? false }
        let publisher = ClientPublisher(
            to: Client(client.name, sink: sink), number: number, unpublished: [], on: loop,
            settings: settings, jitterSeed: settings.jitterSeed, logger: logger)
        let tenure = Tenure(epoch: epoch, publisher: publisher, sink: sink)
        publisher.onAccepted = { [weak tenure] in tenure?.accepted += $0.counts }
        publisher.onRoundEnd = { [weak self] in self?.update() }
        self.tenure = tenure
    }

    private func endTenure() {
        tenure?.publisher.discard()
        tenure?.sink.close()
        tenure = nil
    }

    // MARK: Publishing

    /// Starts what is possible now: records accepted totals, or reads others.
    private func work(_ tenure: Tenure, at now: MonotonicInstant) {
        guard !tenure.isReading, !tenure.isRecording else { return }
        if !tenure.accepted.isEmpty {
            if tenure.recordAt <= now { record(tenure) }
        } else if tenure.publisher.isIdle, tenure.nextReadAt <= now, lease.mayCall(at: now) {
            read(tenure)
        }
    }

    private func read(_ tenure: Tenure) {
        tenure.isReading = true
        let isFlushing = stopCompletion != nil
        store.dueTotals(for: number, epoch: tenure.epoch, isFlushing: isFlushing) {
            [weak self] result in
            guard let self, self.tenure === tenure else { return }
            tenure.isReading = false
            let now = loop.instant
            switch result {
            case .success(let due?):
                tenure.readAt = due.readAt
                if due.counts.isEmpty {
                    if isFlushing { return release(tenure) }
                    tenure.nextReadAt = now + tenure.interval
                    tenure.interval = min(tenure.interval * 2, Self.idleInterval)
                } else {
                    tenure.interval = Self.busyInterval
                    tenure.busySince = now
                    tenure.nextReadAt = isFlushing ? now : now + Self.busyInterval
                    tenure.publisher.publishNow(due.counts)
                }
            case .success(nil): lease.lost(at: now)
            case .failure(let error):
                logger.debug("totals of \(client.name): \(error)")
                tenure.nextReadAt = now + Self.retryDelay
            }
            update()
        }
    }

    private func record(_ tenure: Tenure) {
        let counts = tenure.accepted
        tenure.accepted = []
        tenure.isRecording = true
        store.recordPublished(counts, readAt: tenure.readAt, to: number, epoch: tenure.epoch) {
            [weak self] result in
            guard let self, self.tenure === tenure else { return }
            tenure.isRecording = false
            switch result {
            case .success(true): break
            case .success(false): lease.lost(at: loop.instant)
            case .failure(let error):
                logger.debug("published totals of \(client.name): \(error)")
                // Newer totals of the same videos come later in the array, so they are kept.
                tenure.accepted = counts + tenure.accepted
                tenure.recordAt = loop.instant + Self.retryDelay
            }
            update()
        }
    }

    private func release(_ tenure: Tenure) {
        let done = stopCompletion ?? {}
        stopCompletion = nil
        endTenure()
        store.releaseLease(of: number, epoch: tenure.epoch) { [weak self] _ in
            self?.close()
            done()
        }
        // Only the release is left to do.
        timer.stop()
    }

    private func updateTimer() {
        let now = loop.instant
        var deadlines = [lease.nextDeadline]
        if let tenure, !tenure.isReading, !tenure.isRecording {
            if !tenure.accepted.isEmpty {
                deadlines.append(tenure.recordAt)
            } else if tenure.publisher.isIdle {
                let readAt = max(tenure.nextReadAt, lease.firstCallAt ?? .start)
                // Shortly before the end of the lease, only its renewal allows a read.
                if readAt > now || lease.mayCall(at: now) { deadlines.append(readAt) }
            }
        }
        guard let next = deadlines.compactMap(\.self).min() else { return timer.stop() }
        timer.start(after: max(.zero, next - now)) { [weak self] in
            self?.update()
        }
    }
}
