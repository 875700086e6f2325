import DequeModule
import TallyBasics

/// Relocation: appends the still needed messages of an old segment to the end of the message log,
/// so that the log can release the old records. A log releases disk space only at its beginning.
extension Topic {
    /// Returns an estimate of the size of a segment's messages that are still needed, in bytes.
    func neededBytes(of segment: Segment) -> Int {
        guard segment.count > 0 else { return 0 }
        let undispatched = undispatched.count(in: segment) > 0 ? segment.count : 0
        let needed = channels.reduce(undispatched) {
            max($0, $1.segments[segment]?.unsettledCount ?? 0)
        }
        return segment.usedBytes / segment.count * needed
    }

    /// Relocates a segment: appends the messages that are still needed, and the state of their
    /// deliveries, to the log. The caller has flushed the log.
    func relocate(_ segment: Segment) {
        finishFirstDeferred()
        segments.closeTail(segment)
        if !segment.isSealed { seal(segment) }
        // Sealing removes the segment if none of its messages is needed.
        guard segments.contains(segment), let log else { return }
        guard segment.isResident || pageIn(segment) else { return }
        let needed = neededIndexes(of: segment)
        // The segment is needed, so an empty list means that its needed messages were lost.
        guard !needed.isEmpty else { return log.release(segment) }
        let deadlines = undispatched.deadlines(in: segment).mapValues(context.wall(atMonotonic:))
        for run in needed.runs {
            log.append(run, of: segment, as: kind(of: run, in: segment, deadlines))
        }
        for channel in channels where channel.isDurable {
            channel.recordRelocated(needed, of: segment)
        }
        context.log.requestFlush()
    }

    /// Returns the kind of the record for a run of relocated messages.
    ///
    /// - Parameter deadlines: the deadlines of the segment's undispatched deferred messages on the
    ///   wall clock in nanoseconds, by message index.
    private func kind(
        of run: Range<Int>, in segment: Segment, _ deadlines: [Int: Int64]
    ) -> MessageRecordKind {
        segment.isDeferred
            ? .relocatedDeferred(run.map { deadlines[$0] ?? 0 })
            : .relocated(dispatchedEnd: undispatched.dispatchedEnd)
    }

    /// Returns the indexes of a segment's messages that are still needed, in ascending order.
    ///
    /// - Parameter channel: the channel that needs the messages; `nil` for any channel.
    func neededIndexes(of segment: Segment, by channel: Channel? = nil) -> [Int] {
        let readers = channel.map { [$0] } ?? channels
        if readers.contains(where: { $0.needsAll(of: segment) }) {
            return (0..<segment.count).filter { segment.contains($0) }
        }
        var needed = undispatched.indexes(in: segment)
        for reader in readers {
            needed.formUnion(reader.neededIndexes(of: segment))
        }
        return needed.filter { segment.contains($0) }.sorted()
    }
}

extension Channel {
    /// Returns `true` if all messages of the segment are ahead of the cursor, and the channel has
    /// neither delivered nor settled one of them. Usually, most channels of a relocated segment meet
    /// this condition. The check takes the same time for any number of messages.
    fileprivate func needsAll(of segment: Segment) -> Bool {
        guard !segment.isDeferred, segments[segment]?.isComplete == true else { return false }
        let ordinals = segment.ordinals
        let next = cursor.ahead.partitioningIndex { $0.upperBound > ordinals.lowerBound }
        guard next < cursor.ahead.count else { return false }
        return cursor.ahead[next].clamped(to: ordinals) == ordinals
    }

    /// Returns the indexes of a segment's messages that the channel needs: those ahead of the
    /// cursor, and those with a delivery.
    fileprivate func neededIndexes(of segment: Segment) -> [Int] {
        guard let channelSegment = segments[segment] else { return [] }
        let ahead = segment.isDeferred ? [] : cursor.ahead(in: segment.ordinals)
        return channelSegment.deliveredIndexes
            + ahead.joined().map { $0 - segment.firstOrdinal }
            .filter { channelSegment.state(of: $0) < 0 }
    }

    /// Appends log records that restore the state of relocated messages in the channel: a FIN for
    /// each finished message, and the delivery of each other message.
    ///
    /// - Parameter indexes: the indexes of the relocated messages in `segment`.
    func recordRelocated(_ indexes: [Int], of segment: Segment) {
        // If all messages are ahead of the cursor, their state needs no records.
        guard !needsAll(of: segment) else { return }
        // A channel without the segment does not receive the segment's undispatched messages either.
        let undispatched =
            segments[segment] == nil ? [] : topic.undispatched.indexes(in: segment)
        let unfinished = undispatched.union(neededIndexes(of: segment))
        for index in indexes where !unfinished.contains(index) {
            recordFinished(index..<index + 1, of: segment)
        }
        guard let channelSegment = segments[segment] else { return }
        for index in channelSegment.deliveredIndexes {
            let id = channelSegment.state(of: index)
            let delivery = deliveries[id]
            let deadline =
                delivery.state == .deferred ? context.wall(atMonotonic: delivery.sortKey) : 0
            recordUpdated(id, deferredUntil: deadline)
        }
    }
}

extension [Int] {
    /// The ranges of consecutive numbers in an ascending array.
    fileprivate var runs: [Range<Int>] {
        var runs: [Range<Int>] = []
        for number in self {
            if let last = runs.last, last.upperBound == number {
                runs[runs.count - 1] = last.lowerBound..<number + 1
            } else {
                runs.append(number..<number + 1)
            }
        }
        return runs
    }
}
