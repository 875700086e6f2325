import NSQWire
import TallyBasics

/// Finds the messages that another broker receives, and finishes them in this topic after the
/// hand-over.
///
/// Ephemeral channels exist only in this broker, so their messages stay here.
extension Topic {
    /// The maximum number of channels that are searched together.
    private static let maxChannels = 64

    private var handOverChannels: [Channel] { sortedChannels.filter { !$0.name.isEphemeral } }

    /// Returns the next messages for the same channels.
    ///
    /// - Parameter position: the position at which the search begins; advanced past the batch.
    func nextHandOver(
        from position: inout HandOverPosition, _ limits: HandOverLimits
    ) -> HandOverSearch {
        if let found = undispatchedHandOver(limits) { return found }
        let channels = handOverChannels
        var steps = limits.steps
        while let segment = segments.first(serialAtLeast: position.serial) {
            guard steps > 0 else { return .unfinished }
            if position.serial != segment.serial {
                position.skip(segment)
                position.serial = segment.serial
            }
            let readers = channels.lazy.compactMap { channel in
                channel.segments[segment].map { (channel, $0) }
            }
            let last = position.lastChannel
            let group = Array(
                readers.filter { reader in last.map { $0 < reader.0.name } ?? true }
                    .prefix(Self.maxChannels))
            let result = nextHandOver(of: segment, group, from: &position.index, limits, &steps)
            if let result { return result }
            if group.count == Self.maxChannels {
                position.lastChannel = group.last?.0.name
                position.index = 0
            } else {
                position.skip(segment)
            }
        }
        return .end
    }

    private func nextHandOver(
        of segment: Segment, _ readers: [(Channel, ChannelSegment)], from index: inout Int,
        _ limits: HandOverLimits, _ steps: inout Int
    ) -> HandOverSearch? {
        steps -= 1
        guard !readers.isEmpty else { return nil }
        let staysInMemory = segment.isResident || context.hasMemory(toReadBack: segment.loadedBytes)
        defer { if !staysInMemory, segment.isResident { pageOut(segment) } }
        var batch: (HandOverBatch, mask: UInt64)?
        while index < segment.count {
            guard steps > 0 else { return batch.map { .batch($0.0) } ?? .unfinished }
            steps -= readers.count
            guard let (mask, deadline) = Self.group(of: index, readers) else {
                index += 1
                continue
            }
            if !segment.isResident {
                // Reading the segment settles lost messages, so the state can differ afterwards.
                guard pageIn(segment) else { return .unreadable }
                continue
            }
            guard segment.contains(index) else {
                for (channel, _) in readers { channel.finishUndelivered([index], of: segment) }
                index += 1
                continue
            }
            if let batch, batch.mask != mask { return .batch(batch.0) }
            var extended =
                batch
                ?? (HandOverBatch(name, Self.names(readers, mask), of: segment), mask)
            let delay = max(0, deadline.subtractingSaturated(context.now.monotonic))
            guard extended.0.append(index, delay: .nanoseconds(delay), within: limits) else {
                return .batch(extended.0)
            }
            batch = extended
            index += 1
        }
        return batch.map { .batch($0.0) }
    }

    /// Selects the channels that receive a message together: those whose copies can be moved now,
    /// and have the same end of the deferral as the first such copy.
    ///
    /// - Returns: a bit mask of the channels' positions in `readers`, and the end of the deferral;
    ///   `nil` if no copy can be moved now.
    private static func group(
        of index: Int, _ readers: [(Channel, ChannelSegment)]
    ) -> (mask: UInt64, deadline: Int64)? {
        var mask: UInt64 = 0
        var deadline: Int64 = 0
        for (position, (channel, channelSegment)) in readers.enumerated() {
            guard let due = channel.handOverDeadline(of: index, in: channelSegment) else {
                continue
            }
            if mask == 0 { deadline = due }
            if due == deadline { mask |= 1 << UInt64(position) }
        }
        return mask == 0 ? nil : (mask, deadline)
    }

    private static func names(
        _ readers: [(Channel, ChannelSegment)], _ mask: UInt64
    ) -> [ChannelName] {
        readers.indices.filter { mask & 1 << UInt64($0) != 0 }.map { readers[$0].0.name }
    }

    // MARK: Undispatched messages

    /// Returns the first messages that the topic has not dispatched and holds; `nil` if there are none.
    private func undispatchedHandOver(_ limits: HandOverLimits) -> HandOverSearch? {
        guard holdsMessages, undispatched.assignedCount == 0 else { return nil }
        if undispatched.dispatchedEnd < dispatchableEnd { return undispatchedRun(limits) }
        let count = undispatched.dispatchableDeferredCount(requiresDurable: isDurable)
        guard count > 0, let segment = undispatched.deferred.first?.segment else { return nil }
        return undispatchedBatch(of: segment) { batch in
            for message in undispatched.deferred.prefix(count) {
                let delay = max(0, message.deadline.subtractingSaturated(context.now.monotonic))
                guard message.segment === segment, segment.contains(message.index),
                    batch.append(message.index, delay: .nanoseconds(delay), within: limits)
                else { return }
            }
        }
    }

    private func undispatchedRun(_ limits: HandOverLimits) -> HandOverSearch {
        let start = undispatched.dispatchedEnd
        guard let segment = segments.all.first(where: { !$0.isDeferred && $0.endOrdinal > start }),
            segment.firstOrdinal <= start
        else {
            // The messages before the next segment were lost because the log is damaged.
            let next = segments.all.first { !$0.isDeferred && $0.endOrdinal > start }?.firstOrdinal
            dispatch(upTo: min(next ?? dispatchableEnd, dispatchableEnd))
            return .unfinished
        }
        return undispatchedBatch(of: segment) { batch in
            let end = min(segment.count, dispatchableEnd - segment.firstOrdinal)
            for index in start - segment.firstOrdinal..<end where segment.contains(index) {
                guard batch.append(index, delay: .zero, within: limits) else { return }
            }
        }
    }

    /// Fills a batch with messages of a segment, which is read into memory first.
    private func undispatchedBatch(
        of segment: Segment, _ fill: (inout HandOverBatch) -> Void
    ) -> HandOverSearch {
        let staysInMemory = segment.isResident || context.hasMemory(toReadBack: segment.loadedBytes)
        guard segment.isResident || pageIn(segment) else { return .unreadable }
        defer { if !staysInMemory { pageOut(segment) } }
        var batch = HandOverBatch(name, nil, of: segment)
        fill(&batch)
        guard batch.messages.isEmpty else { return .batch(batch) }
        // The batch is empty because messages are lost: all messages of the segment, or the first
        // deferred message. The lost messages are dispatched, so that the search can continue
        // behind them.
        if segment.isDeferred {
            dispatch(undispatched.removeDeferred(first: 1))
        } else {
            dispatch(upTo: min(segment.endOrdinal, dispatchableEnd))
        }
        return .unfinished
    }

    // MARK: The end of messages

    /// Finishes messages that another broker has acknowledged, except messages that a channel has
    /// delivered in the meantime.
    func finishHandedOver(_ batch: HandOverBatch) {
        finishFirstDeferred()
        guard segments.contains(batch.segment) else { return }
        if batch.channels == nil { dispatchHandedOver(batch) }
        for channel in handOverChannels where batch.channels?.contains(channel.name) != false {
            channel.finishUndelivered(batch.indexes, of: batch.segment)
        }
        removeIfUnneeded(batch.segment)
        guard batch.channels == nil, isDurable, !hasDurableChannel, depth == 0 else { return }
        // Without a durable channel, only this record shows that the messages are not needed. The
        // record exists only for all messages of a topic together. If the broker crashes before the
        // last batch, the restarted topic therefore has all messages again.
        context.log.append(.topicEmptied(name))
    }

    /// Dispatches messages that another broker has received for all channels, unless they were
    /// dispatched in the meantime.
    private func dispatchHandedOver(_ batch: HandOverBatch) {
        guard let last = batch.indexes.last else { return }
        if !batch.segment.isDeferred {
            let start = undispatched.dispatchedEnd
            if batch.segment.firstOrdinal + batch.indexes[0] >= start {
                dispatch(upTo: batch.segment.firstOrdinal + last + 1)
            }
            return
        }
        let first = undispatched.deferred.prefix(batch.indexes.count)
        guard
            first.elementsEqual(
                batch.indexes, by: { $0.segment === batch.segment && $0.index == $1 })
        else { return }
        if batch.segment === segments.deferredTail {
            segments.closeTail(batch.segment)
            seal(batch.segment)
        }
        dispatch(undispatched.removeDeferred(first: batch.indexes.count))
    }
}

extension Channel {
    /// Returns the end of a message's deferral if another broker can receive the message: 0 for a message
    /// that can be delivered now; `nil` if the channel does not have the message, or has it in flight.
    func handOverDeadline(
        of index: Int, in channelSegment: ChannelSegment
    ) -> Int64? {
        let segment = channelSegment.segment
        switch channelSegment.state(of: index) {
        case ChannelSegment.settled: return nil
        case ChannelSegment.untouched:
            return !segment.isDeferred && cursor.isAhead(segment.firstOrdinal + index) ? 0 : nil
        case let id:
            switch deliveries[id].state {
            case .waiting: return 0
            case .deferred:
                return deliveries[id].sortKey > context.now.monotonic ? deliveries[id].sortKey : 0
            case .inFlight, .free: return nil
            }
        }
    }

    /// Finishes messages that wait for a delivery or are deferred.
    ///
    /// - Parameter indexes: the indexes of the messages in `segment`, ascending.
    func finishUndelivered(_ indexes: [Int], of segment: Segment) {
        guard let number = segments.number(serial: segment.serial),
            let channelSegment = segments[number]
        else { return }
        var count = 0
        for index in indexes {
            guard handOverDeadline(of: index, in: channelSegment) != nil else { continue }
            let id = channelSegment.state(of: index)
            if id < 0 {
                _ = cursor.skip(segment.firstOrdinal + index)
            } else {
                deliveries.withdraw(id)
                deliveries.finishWithdrawn(id)
            }
            channelSegment.setState(ChannelSegment.settled, of: index)
            recordFinished(index..<index + 1, of: segment)
            count += 1
        }
        settle(count, in: number)
        context.pending.add(self)
    }
}
