import UVLoop

/// The nsqds that nsqlookupd has reported, and the decision when to leave one that it no longer
/// reports.
///
/// An nsqd is left after several polls in a row without it. A poll counts only if every nsqlookupd has
/// responded, because the nsqd may be registered at an nsqlookupd that did not respond. An nsqd that
/// still delivers messages is never left.
struct DiscoveredNSQDs {
    /// The nsqds to connect to and to leave, each sorted by address.
    struct Changes: Equatable {
        var added: [SocketAddress] = []
        var removed: [SocketAddress] = []
    }

    /// The number of polls in a row that do not report an nsqd, after which the consumer leaves the
    /// nsqd.
    static let pollsBeforeRemoval = 3

    /// For each nsqd, the number of latest polls in a row that did not report it.
    private var missedPolls: [SocketAddress: Int] = [:]

    /// Applies the result of a poll.
    ///
    /// - Parameters:
    ///   - poll: the nsqds that the nsqlookupds report.
    ///   - isActive: returns `true` for an nsqd that has messages in flight or has delivered messages
    ///     since the previous poll.
    mutating func apply(
        _ poll: LookupPoll.Result, isActive: (SocketAddress) -> Bool
    ) -> Changes {
        var changes = Changes()
        for nsqd in poll.nsqds where missedPolls.updateValue(0, forKey: nsqd) == nil {
            changes.added.append(nsqd)
        }
        guard poll.failures.isEmpty else { return changes.sorted() }
        for (nsqd, missed) in missedPolls where !poll.nsqds.contains(nsqd) {
            let missed = isActive(nsqd) ? 0 : missed + 1
            missedPolls[nsqd] = missed
            if missed >= Self.pollsBeforeRemoval {
                missedPolls[nsqd] = nil
                changes.removed.append(nsqd)
            }
        }
        return changes.sorted()
    }

    /// Returns `true` if the consumer has to be connected to the nsqd.
    func contains(_ nsqd: SocketAddress) -> Bool { missedPolls[nsqd] != nil }
}

extension DiscoveredNSQDs.Changes {
    fileprivate func sorted() -> Self {
        Self(
            added: added.sorted { $0.description < $1.description },
            removed: removed.sorted { $0.description < $1.description })
    }
}
