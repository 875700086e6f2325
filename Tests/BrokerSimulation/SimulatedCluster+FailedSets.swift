import BrokerCore
import NSQWire
import TestKit

/// Failed sets: some seeds have a limit of attempts, and some of these keep expired messages.
extension SimulatedCluster {
    /// Sets the limits of a seed. They have a generator of their own, so that they do not change the
    /// events of a seed.
    static func setLimits(in options: inout BrokerOptions, seed: UInt64) {
        var random = SeededGenerator(seed: seed ^ 0xFA11ED)
        guard Int.random(in: 0..<3, using: &random) == 0 else { return }
        options.attemptLimits.defaultLimit = Int.random(in: 1...3, using: &random)
        options.keepsExpired = Bool.random(using: &random)
    }

    /// Checks and records a message of a failed set.
    ///
    /// - Returns: the number of the original message; `nil` if the message is wrong.
    func failedMessage(_ message: ReceivedMessage, in set: TopicName) -> Int? {
        guard let failed = FailedMessage(parsing: message.body),
            let bodyNumber = MessageBody.number(of: failed.body),
            let number = failed.topic == Self.movedTopic
                ? checker.movedNumbers[bodyNumber] : bodyNumber,
            checker.exists(number), checker[number].topic == failed.topic,
            FailedSet.topic(of: failed.channel, failed.topic) == set,
            failed.body == MessageBody.bytes(bodyNumber, count: checker[number].bodyBytes)
        else {
            fail("the failed set \(set) has a message that was never published")
            return nil
        }
        let limit = options.attemptLimits[failed.topic, failed.channel]
        let isRight =
            switch failed.reason {
            case .attempts: failed.attempts >= limit
            case .expired: options.keepsExpired && options.lifetimes[failed.topic] > .zero
            }
        if !isRight { fail("message \(number) failed after \(failed.attempts) attempts") }
        checker.didFail(number, failed.topic, failed.channel)
        return number
    }
}
