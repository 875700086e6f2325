import PlayCounts
import UVLoop

/// The processor's settings that the page displays, and the limits of the page.
package struct PageSettings: Sendable {
    /// A short text about the origin of the plays, such as the nsqd's address.
    package var source = ""
    /// A command line that publishes plays, for a page without counts; `nil` if the address of the
    /// nsqd is unknown.
    package var produceCommand: String?
    /// A play that leaves its video below this total is published immediately.
    package var realtimeBelow = 100
    /// The maximum number of videos in one call.
    package var videosPerCall = 20
    /// The maximum time from a batched play to the call that publishes it.
    package var freshness = Duration.seconds(60)
    /// The part of `freshness` that the processor reserves for the call itself.
    package var margin = CallScheduler.Settings().margin
    /// The time that an immediate count waits for others to share its call.
    package var coalesce = Duration.zero

    /// The host names under which the page answers, besides loopback names. A page on an address that
    /// is not a loopback address also answers under all numeric addresses.
    package var hosts: [String] = []

    /// The maximum number of connections; further ones get status 503. The default is a part of the
    /// process's file descriptors, so that connections to the page leave enough descriptors for the
    /// processor.
    package var maxConnections = max(1, DescriptorLimit.forConnections / 8)
    /// The maximum number of connected browsers; further browsers get status 503.
    package var maxSubscribers = 4096
    /// The maximum number of browsers that show the jobs page.
    package var maxJobSubscribers = 128
    /// The time for which the server still records events after the last browser has disconnected,
    /// so that a browser can reconnect and continue.
    package var eventRetention = Duration.seconds(30)
    /// The maximum size of the event log, in bytes.
    package var maxEventLogBytes = 4 << 20
    /// The number of videos, the most played first, in the state for a new browser. The browser
    /// gets other videos from call events and from the API.
    package var videosInState = 500
    /// The minimum pause between two updates. The pause is `pausePerWork` times as long as the last
    /// update took, but at least `minUpdateInterval` and at most `maxUpdateInterval`.
    package var minUpdateInterval = Duration.milliseconds(20)
    package var maxUpdateInterval = Duration.seconds(1)
    package var pausePerWork = 4
    /// The interval between two `statistics` events.
    package var statisticsInterval = Duration.milliseconds(500)
    /// The minimum time without an event after which the server sends an `alive` event; the maximum
    /// is twice as long. The page treats a connection as lost if it is silent for 20 s.
    package var keepAliveInterval = Duration.seconds(5)
    /// The time in which the processor must report its metrics.
    package var processorTimeout = Duration.seconds(5)

    package init() {}
}

extension PageSettings {
    var streamLimits: EventStream.Limits {
        EventStream.Limits(
            subscribers: maxSubscribers, logBytes: maxEventLogBytes, keepAlive: keepAliveInterval)
    }
}
