import NSQWire

/// The channels of one topic.
struct TopicChannels {
    /// The channels, in no particular order.
    private(set) var all: [Channel] = []
    // INVARIANT: `positions[name]` is the position in `all` of the channel with this name.
    private var positions: [ChannelName: Int] = [:]
    private var durableCount = 0

    /// `true` if at least one channel is durable.
    var containsDurable: Bool { durableCount > 0 }

    /// The channels in the order of their names.
    var sorted: [Channel] { all.sorted { $0.name < $1.name } }

    subscript(name: ChannelName) -> Channel? { positions[name].map { all[$0] } }

    /// Adds a channel. The topic must have no channel with the same name.
    mutating func insert(_ channel: Channel) {
        precondition(positions[channel.name] == nil, "channel names are unique in a topic")
        positions[channel.name] = all.count
        all.append(channel)
        if channel.isDurable { durableCount += 1 }
    }

    /// Removes and returns any channel; `nil` without channels.
    mutating func removeLast() -> Channel? {
        guard let last = all.last else { return nil }
        remove(last)
        return last
    }

    mutating func remove(_ channel: Channel) {
        guard let position = positions.removeValue(forKey: channel.name) else { return }
        let last = all.removeLast()
        if channel.isDurable { durableCount -= 1 }
        guard last !== channel else { return }
        all[position] = last
        positions[last.name] = position
    }
}
