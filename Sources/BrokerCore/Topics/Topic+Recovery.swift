import DequeModule
import TallyBasics

/// Recovery of a topic from the message log.
///
/// Segments are not sealed or released before ``endRecovery()``, because relocated messages follow
/// the records of their deliveries in the log.
extension Topic {
    func recover(_ messages: RecoveredMessages) {
        let (segment, isNew) = segments.recovered(messages, context.slabs)
        if isNew {
            for channel in channels { channel.addRecovered(segment) }
        }
        let found = segment.recover(messages.run.indexes, byteCount: messages.byteCount)
        let foundCount = found.reduce(0) { $0 + $1.count }
        if foundCount < messages.run.indexes.count {
            let new = Set(found.joined())
            segments.addRepeated(
                messages.run.indexes.lazy.filter { !new.contains($0) }, of: segment)
        }
        guard foundCount > 0 else { return }
        switch messages.kind {
        case .published: recoverPublished(upTo: segment.endOrdinal)
        case .relocated(let dispatchedEnd):
            recoverRelocated(found, of: segment, dispatchedEnd: dispatchedEnd)
        case .deferred(let deadlines), .relocatedDeferred(let deadlines):
            for index in found.joined() {
                let position = index - messages.run.first
                guard position < deadlines.count, deadlines[position] != 0 else { continue }
                let times = messages.publishTimes
                let deadline = context.monotonic(
                    atEndOfDeferral: deadlines[position],
                    startedAt: position < times.count ? times[position] : nil)
                undispatched.addDeferred(
                    segment, index, until: deadline, channelCount: channels.count)
            }
            dispatch()
        }
    }

    private func recoverRelocated(
        _ found: [Range<Int>], of segment: Segment, dispatchedEnd: Int
    ) {
        undispatched.recoverDispatched(upTo: min(segment.endOrdinal, dispatchedEnd))
        for indexes in found {
            let first = segment.firstOrdinal + indexes.lowerBound
            let end = min(segment.firstOrdinal + indexes.upperBound, dispatchedEnd)
            for channel in channels where first < end { channel.accept(first..<end) }
        }
        recoverPublished(upTo: segment.endOrdinal)
    }

    private func recoverPublished(upTo end: Int) {
        undispatched.recoverPublished(upTo: end)
        log?.recoverPublished(upTo: undispatched.publishedEnd)
        dispatch()
    }

    /// Replays the record of a dispatch to channels that are not durable. These channels had received
    /// all messages of the topic.
    func recoverAllDispatched() {
        undispatched.recoverDispatched(upTo: undispatched.publishedEnd)
        _ = undispatched.removeDeferred(first: undispatched.deferred.count)
    }

    /// Dispatches deferred messages for which a channel has a record, and all earlier deferred
    /// messages.
    ///
    /// - Parameter indexes: the indexes of the messages in `segment`.
    func dispatchRecoveredDeferred(_ indexes: Range<Int>, in segment: Segment) {
        let last = undispatched.deferred.lastIndex {
            $0.segment === segment && indexes.contains($0.index)
        }
        if let last { dispatch(undispatched.removeDeferred(first: last + 1)) }
    }

    /// Ends the recovery: dispatches messages, seals all segments and counts lost messages.
    func endRecovery() {
        dispatch()
        let ordinals = undispatched.ordinals
        undispatched.setLostCount(ordinals.count - foundCount(in: ordinals))
        undispatched.sortDeferred()
        for segment in segments.all { segment.seal() }
        for channel in channels { channel.endRecovery() }
        recordRepeated()
        for segment in segments.all {
            segment.endRecovery()
            removeIfUnneeded(segment)
        }
    }

    /// Appends the state of the relocated messages' deliveries to the log again.
    ///
    /// A relocation appends messages, and then the state of their deliveries. If the broker stopped
    /// between the two, only older records contain the state, and these records can be removed before
    /// the relocated messages.
    private func recordRepeated() {
        for (segment, indexes) in segments.removeRepeated() {
            for channel in channels where channel.isDurable {
                channel.recordRelocated(indexes, of: segment)
            }
        }
    }

    /// Returns the number of ordinals for which recovery has found a message.
    private func foundCount(in ordinals: Range<Int>) -> Int {
        segments.all.lazy.filter { !$0.isDeferred }.reduce(0) { sum, segment in
            let shared = segment.ordinals.clamped(to: ordinals)
            guard !shared.isEmpty else { return sum }
            let indexes =
                shared.lowerBound - segment.firstOrdinal..<shared.upperBound - segment.firstOrdinal
            return sum + indexes.count
                - segment.missing.reduce(0) { $0 + $1.clamped(to: indexes).count }
        }
    }
}
