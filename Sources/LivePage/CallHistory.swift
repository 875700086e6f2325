import DequeModule
import PlayCounts

/// The latest calls, without their video IDs. A browser that connects or reloads the page receives
/// them.
struct CallHistory {
    struct Entry: Equatable {
        let number: Int
        /// The time of the call, in milliseconds since 1970.
        let time: Int64
        /// The number of videos that had to be published immediately.
        let immediateVideos: Int
        let batchedVideos: Int
    }

    /// The calls from the oldest to the newest.
    private(set) var entries: Deque<Entry> = []

    static let maxEntries = 100

    mutating func append(_ call: Call, atMilliseconds time: Int64) {
        if entries.count == Self.maxEntries { entries.removeFirst() }
        let immediate = call.immediateVideos
        entries.append(
            Entry(
                number: call.number, time: time, immediateVideos: immediate,
                batchedVideos: call.videos.count - immediate))
    }
}
