import TallyBasics

/// A histogram of waits or durations; a pure value without I/O and clock.
///
/// The buckets are logarithmic with four for each power of two, so a quantile is at most a quarter too high.
package struct JobTiming: Hashable, Sendable {
    /// The kind of the measured durations.
    package enum Kind: Int, CaseIterable, Sendable {
        /// The time from a job's due time to the start of an attempt.
        case wait = 0
        /// The duration of an attempt that succeeded.
        case completed = 1
        /// The duration of an attempt that failed, or that discarded the job.
        case failed = 2

        /// The kind of an attempt with this outcome; `nil` if such an attempt is not measured.
        init?(_ outcome: JobOutcome) {
            switch outcome {
            case .complete: self = .completed
            case .fail, .discard: self = .failed
            case .snooze, .unhandled, .cancel, .release: return nil
            }
        }
    }

    /// The number of values in each bucket that is not empty.
    package private(set) var counts: [Int: Int] = [:]

    package init() {}

    /// The number of values.
    package var count: Int { counts.values.reduce(0, &+) }

    package mutating func add(_ count: Int, bucket: Int) {
        guard count > 0 else { return }
        counts[bucket] = (counts[bucket] ?? 0).addingReportingOverflow(count).partialValue
    }

    package static func += (left: inout JobTiming, right: JobTiming) {
        for (bucket, count) in right.counts { left.add(count, bucket: bucket) }
    }

    /// Returns a histogram of the values that were added since `earlier`.
    package func subtracting(_ earlier: JobTiming) -> JobTiming {
        var rest = JobTiming()
        for (bucket, count) in counts {
            rest.add(count &- (earlier.counts[bucket] ?? 0), bucket: bucket)
        }
        return rest
    }

    /// Returns an upper bound of the quantile in microseconds; `nil` without values.
    ///
    /// - Parameter fraction: 0 to 1, such as 0.95.
    package func quantile(_ fraction: Double) -> Int64? {
        let total = count
        guard total > 0 else { return nil }
        let rank = min(Int((Double(total) * fraction).rounded(.up)), total)
        var sum = 0
        for (bucket, count) in counts.sorted(by: { $0.key < $1.key }) {
            sum = sum &+ count
            if sum >= rank { return Self.upperBound(of: bucket) }
        }
        return nil
    }

    // MARK: Buckets

    package static let bucketCount = 248

    /// Returns the bucket of a duration. A negative one, after the wall clock was set back, counts as zero.
    package static func bucket(of duration: Duration) -> Int {
        let value = UInt64(max(0, duration.nanoseconds / 1_000))
        guard value >= 4 else { return Int(value) }
        let octave = 63 - value.leadingZeroBitCount
        return octave * 4 + Int(value >> UInt64(octave - 2) & 3) - 4
    }

    /// Returns the largest number of microseconds in a bucket.
    package static func upperBound(of bucket: Int) -> Int64 {
        let bucket = min(max(bucket, 0), bucketCount - 1)
        guard bucket >= 4 else { return Int64(bucket) }
        let octave = (bucket + 4) / 4
        let part = Int64((bucket + 4) % 4 + 5)
        return octave >= 62 ? .max : part << Int64(octave - 2) - 1
    }
}
