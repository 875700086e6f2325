import PlayCounts

/// The number of calls of each kind, and the number of videos in them.
struct CallCounts: Sendable, Equatable {
    /// Calls whose videos all had to be published immediately.
    private(set) var immediate = 0
    /// Calls for immediate videos whose free slots were filled with batched videos.
    private(set) var mixed = 0
    /// Calls without an immediate video.
    private(set) var batched = 0
    private(set) var immediateVideos = 0
    private(set) var batchedVideos = 0

    var calls: Int { immediate + mixed + batched }
    var videos: Int { immediateVideos + batchedVideos }

    mutating func add(_ call: Call) {
        let immediate = call.immediateVideos
        let batched = call.videos.count - immediate
        switch (immediate, batched) {
        case (0, _): self.batched += 1
        case (_, 0): self.immediate += 1
        default: mixed += 1
        }
        immediateVideos += immediate
        batchedVideos += batched
    }

    static func += (left: inout CallCounts, right: CallCounts) {
        left.immediate += right.immediate
        left.mixed += right.mixed
        left.batched += right.batched
        left.immediateVideos += right.immediateVideos
        left.batchedVideos += right.batchedVideos
    }
}

extension Call {
    /// The number of videos that had to be published immediately.
    var immediateVideos: Int { videos.count(where: \.isImmediate) }
}
