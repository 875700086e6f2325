import Foundation

/// The time that a thread was ready to run but waited for a CPU. Linux counts it for each thread.
enum SchedulingDelay {
    /// The delay of the calling thread since its start; `nil` if the kernel does not count it.
    static var ofThisThread: Duration? {
        guard let text = try? String(contentsOfFile: "/proc/thread-self/schedstat", encoding: .utf8)
        else { return nil }
        return parse(text)
    }

    /// Parses the content of a `schedstat` file: the time on a CPU and the time of waiting for a
    /// CPU, both in nanoseconds, and the number of time slices. Returns the second.
    static func parse(_ text: String) -> Duration? {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 3 else { return nil }
        return Int64(fields[1]).map { .nanoseconds($0) }
    }
}
