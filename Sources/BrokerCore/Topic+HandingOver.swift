import DequeModule

/// How a topic's messages come to its channels.
extension Topic {
    /// Messages stay with the topic for now.
    var holdsMessages: Bool { isPaused || awaitsChannels || channels.isEmpty }

    /// Gives the channels what is held, unless the topic is paused or has none.
    func handOver(_ turn: Turn) {
        guard !holdsMessages else { return }
        let start = released
        handOver(upTo: written, turn)
        let ready = takeHeld()
        handOver(ready, turn)
        guard isNoted, start < released || !ready.isEmpty else { return }
        if !channels.contains(where: \.isNoted) { turn.note(.handedOver(name)) }
    }

    /// Gives the channels the messages below an ordinal.
    func handOver(upTo end: Int, _ turn: Turn) {
        let start = released
        guard start < end else { return }
        released = end
        for channel in channels {
            for stretch in stretches(of: start..<end, for: channel) {
                channel.accept(stretch, turn)
            }
        }
        lostCount = 0
    }

    /// Gives the channels deferred messages, which are not held any more.
    func handOver(_ messages: [HeldMessage], _ turn: Turn) {
        for message in messages {
            for channel in channels {
                channel.accept(message.segment, message.index, due: message.due, turn)
            }
            removeIfUnneeded(message.segment)
        }
    }

    /// Those of the ordinals that the channel is to be handed: all, unless the ledger has lost some.
    @inline(__always)
    private func stretches(of ordinals: Range<Int>, for channel: Channel) -> Deque<Range<Int>> {
        lostCount > 0 ? channel.untouched(in: [ordinals]) : [ordinals]
    }

    /// Those that are in the ledger, if they are to be; the others come behind them.
    func takeHeld() -> [HeldMessage] {
        guard !held.isEmpty else { return [] }
        return takeHeld(isNoted ? held.firstIndex { !$0.isWritten } ?? held.count : held.count)
    }

    /// The first `count` of them.
    func takeHeld(_ count: Int) -> [HeldMessage] {
        defer { held.removeSubrange(..<count) }
        for message in held[..<count] { message.segment.heldCount -= 1 }
        return Array(held[..<count])
    }
}
