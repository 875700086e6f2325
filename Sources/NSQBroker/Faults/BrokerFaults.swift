import NSQWire
import TallyBasics
import UVLoop

/// The faults that a test injects into a broker, and the messages that were published to it. Brokers
/// that are started one after the other can share an object.
package final class BrokerFaults: Sendable {
    /// A fault, and how often it happens.
    package struct Rule: Sendable {
        /// The command or frame that the fault concerns, and the effect of the fault.
        package enum Effect: Sendable {
            /// The broker refuses publishes to the topic, or to any topic, if `isMatch` returns `true`
            /// for the body of at least one message.
            case refusePublish(topic: String?, isMatch: (@Sendable ([UInt8]) -> Bool)?)
            /// The broker requeues a message of the topic, or of any topic, that a consumer finishes.
            case duplicateDelivery(topic: String?)
            /// The broker sends a response or an error after a delay. Heartbeats are not delayed.
            case delayResponse(Duration)
            /// The broker sends a message of the topic, or of any topic, after a delay.
            case delayDelivery(topic: String?, Duration)
        }

        fileprivate let effect: Effect
        /// The number of times that the fault still happens; `nil` without a limit.
        package var count: Int?
        /// The probability that a fault happens to a matching command or frame, from 0 to 1.
        package var probability = 1.0
        fileprivate var generator: SplitMix64

        /// Creates a rule for every matching command or frame.
        package init(_ effect: Effect) {
            self.effect = effect
            generator = SplitMix64(seed: 0)
        }

        /// Sets the seed of the random numbers that are compared with ``probability``.
        package mutating func setSeed(_ seed: UInt64) { generator = SplitMix64(seed: seed) }

        fileprivate mutating func happens() -> Bool {
            if let count, count <= 0 { return false }
            guard probability >= 1 || generator.nextFraction() < probability else { return false }
            count = count.map { $0 - 1 }
            return true
        }
    }

    private let rules = LockedValue<[Rule]>([])
    private let onPublish: @Sendable (String, [UInt8]) -> Void

    /// Creates an object without faults.
    ///
    /// - Parameter onPublish: receives the topic and the body of each published message, on the thread
    ///   of the broker and before the publisher receives its response.
    package init(onPublish: @escaping @Sendable (String, [UInt8]) -> Void) {
        self.onPublish = onPublish
    }

    /// Adds a fault. Of several matching rules, the oldest applies.
    package func add(_ rule: Rule) { rules.withLock { $0.append(rule) } }

    package func removeAll() { rules.withLock { $0 = [] } }

    var isEmpty: Bool { rules.withLock(\.isEmpty) }

    func didPublish(_ body: [UInt8], to topic: TopicName) { onPublish(topic.text, body) }

    // MARK: Decisions

    /// Returns `true` if a publish must be refused.
    func refusesPublish(of bodies: () -> [[UInt8]], to topic: String) -> Bool {
        first {
            guard case .refusePublish(let name, let isMatch) = $0, name ?? topic == topic else {
                return nil
            }
            return isMatch.map { bodies().contains(where: $0) } ?? true ? true : nil
        } ?? false
    }

    /// Returns `true` if a message that a consumer has finished must be delivered again.
    func duplicatesDelivery(of topic: String) -> Bool {
        first {
            guard case .duplicateDelivery(let name) = $0, name ?? topic == topic else { return nil }
            return true
        } ?? false
    }

    /// Returns the delay of the next response; zero if it is not delayed.
    func answerDelay() -> Duration {
        first { if case .delayResponse(let delay) = $0 { delay } else { nil } } ?? .zero
    }

    /// Returns the delay of the next delivery; zero if it is not delayed.
    func deliveryDelay(of topic: String) -> Duration {
        first {
            guard case .delayDelivery(let name, let delay) = $0, name ?? topic == topic else {
                return nil
            }
            return delay
        } ?? .zero
    }

    /// Returns the value of the first rule for which `value` is not `nil` and whose fault happens
    /// now. The fault is counted, and a rule is removed once its fault has happened as often as it
    /// should.
    private func first<Value>(_ value: (Rule.Effect) -> Value?) -> Value? {
        rules.withLock { rules in
            for index in rules.indices {
                guard let value = value(rules[index].effect), rules[index].happens() else {
                    continue
                }
                if rules[index].count == 0 { rules.remove(at: index) }
                return value
            }
            return nil
        }
    }
}
