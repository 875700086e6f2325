import PlayCounts
import TallyBasics

/// Decides when the page sends updates to its subscribers, and whether they contain statistics. A
/// pure value: no I/O and no clock.
///
/// After each send there is a pause. Updates that arrive during the pause are combined into the
/// next send. The pause is proportional to the duration of the last send, which bounds the page's
/// share of CPU time for any number of calls and subscribers.
struct UpdateSchedule {
    private let settings: PageSettings
    private var earliestSend = MonotonicInstant.start
    private var sendStarted = MonotonicInstant.start
    private var statisticsDue = MonotonicInstant.start
    private var hasSubscribers = false
    private var lastDisconnect: MonotonicInstant?
    /// `true` if the statistics have changed since they were last sent.
    private(set) var hasNewStatistics = false

    init(_ settings: PageSettings) { self.settings = settings }

    /// Returns the time until the next update may be sent.
    func delay(at now: MonotonicInstant) -> Duration { max(.zero, earliestSend - now) }

    mutating func sendBegan(at now: MonotonicInstant) { sendStarted = now }

    /// Starts the pause. Call this method after all writes of a send.
    mutating func sendEnded(at now: MonotonicInstant) {
        let pause = min((now - sendStarted) * settings.pausePerWork, settings.maxUpdateInterval)
        earliestSend = now + max(settings.minUpdateInterval, pause)
    }

    // MARK: Statistics

    mutating func statisticsChanged() { hasNewStatistics = true }

    /// Returns `true` if an update at this time should contain the statistics.
    func shouldSendStatistics(at now: MonotonicInstant) -> Bool {
        // An update shortly before the statistics are due already contains them, which saves a
        // second send.
        hasNewStatistics && now + settings.minUpdateInterval >= statisticsDue
            && shouldRecordEvents(at: now)
    }

    mutating func statisticsSent(at now: MonotonicInstant) {
        hasNewStatistics = false
        statisticsDue = now + settings.statisticsInterval
    }

    // MARK: Subscribers

    mutating func subscribersChanged(count: Int, at now: MonotonicInstant) {
        if hasSubscribers, count == 0 { lastDisconnect = now }
        hasSubscribers = count > 0
    }

    /// Returns `true` if events must be encoded: a subscriber is connected, or the last subscriber
    /// disconnected less than `eventRetention` ago.
    func shouldRecordEvents(at now: MonotonicInstant) -> Bool {
        hasSubscribers || lastDisconnect.map { now - $0 < settings.eventRetention } ?? false
    }
}
