import TallyBasics

/// One call to a client, with the totals of up to `videosPerCall` videos.
package struct Call: Hashable, Sendable {
    /// A video of a call.
    package struct Video: Hashable, Sendable {
        /// The video's total.
        package let count: PlayCount
        /// The time by which the client should have received the total.
        package let deadline: MonotonicInstant
        /// `true` if a play left the video below the realtime bound (100 by default). `false` if
        /// the total was published because its deadline was near, or because the call had a free
        /// slot.
        package let isImmediate: Bool
    }

    /// The serial number of the call. Each scheduler numbers its calls from 1.
    package let number: Int
    /// The videos of the call, those with the earliest deadlines first.
    package let videos: [Video]

    /// `true` if the call contains a video that had to be published immediately.
    package var isImmediate: Bool { videos.contains(where: \.isImmediate) }

    /// The totals of the videos.
    package var counts: [PlayCount] { videos.map(\.count) }

    /// Appends the body of the call: `{"videos":[{"video_id":"…","play_count":N},…]}`.
    package func appendJSON(to bytes: inout [UInt8]) {
        bytes.append("{\"videos\":[")
        for (index, video) in videos.enumerated() {
            bytes.append(index == 0 ? "{\"video_id\":\"" : ",{\"video_id\":\"")
            bytes.append(video.count.videoID)
            bytes.append("\",\"play_count\":")
            bytes.append(decimal: video.count.count)
            bytes.append("}")
        }
        bytes.append("]}")
    }
}
