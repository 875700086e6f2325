/// One call to the client: up to twenty videos, each with its total.
package struct Call: Hashable, Sendable {
    package struct Video: Hashable, Sendable {
        package let count: PlayCount
        /// When the client had to have it: at once, or nearly, after its oldest play came in, if that
        /// was immediate.
        package let deadline: Instant
        /// Whether the rule of the first hundred plays asked for it, or the clock did, or it only
        /// filled the call up.
        package let isImmediate: Bool
    }

    /// Grows by one from call to call of a publisher.
    package let number: Int
    package let videos: [Video]

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
