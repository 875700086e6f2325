/// What a page says of the processor it shows, and its bounds.
package struct PageSettings: Sendable {
    /// Where the plays come from, in a few words.
    package var source = ""
    package var realtimeBelow = 100
    package var videosPerCall = 20
    package var freshness = Duration.seconds(60)
    package var coalesce = Duration.zero

    /// The most browsers at a time; another is told to come later.
    package var maxBrowsers = 4096
    /// So long after the last browser left, calls are still put into words for it to come back to.
    package var longestAbsence = Duration.seconds(30)
    /// What is kept of past events, for browsers that are behind.
    package var eventBytes = 4 << 20
    /// How many videos a browser is given at the start, the most played first. Every other is in
    /// the calls that it hears of, as soon as it changes, or found by asking.
    package var videosInState = 500
    /// Browsers are not told more often than this. With many of them the pause is longer: so many
    /// times as long as telling them took, up to the longest.
    package var shortestPause = Duration.milliseconds(20)
    package var restPerWork = 4
    package var longestPause = Duration.seconds(1)
    /// How often the figures beside the table are sent.
    package var statisticsInterval = Duration.milliseconds(500)
    /// How often a connection with nothing to tell is given a sign of life.
    package var keepAlive = Duration.seconds(15)

    package init() {}
}
