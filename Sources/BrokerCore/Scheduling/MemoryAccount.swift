/// The memory that clients and messages take in a broker, by its use, in bytes.
///
/// The account does not include the slabs of messages, whose bytes ``SlabPool`` counts. The sum of
/// both is limited by ``BrokerOptions/maxMemoryBytes``: a publish that would exceed the limit is
/// refused, even if it has not arrived completely. The sums saturate.
package final class MemoryAccount {
    /// A use of memory.
    package enum Part: String, CaseIterable, Sendable {
        /// The state of messages in flight, deferred or requeued, of all channels.
        case deliveries
        /// The received parts of incomplete commands and of HTTP bodies.
        case input
        /// The responses that wait for the message log.
        case responses
        /// The copied bytes that clients have not read yet.
        case output
        /// The buffers and the state of TLS and compression.
        case layers
    }

    private var bytes: [Int] = Array(repeating: 0, count: Part.allCases.count)
    /// The sum of all parts.
    package private(set) var total = 0

    /// Creates an account without memory.
    package init() {}

    package subscript(part: Part) -> Int { bytes[part.index] }

    /// Adds allocated memory, or removes released memory if `count` is negative.
    package func add(_ count: Int, to part: Part) {
        bytes[part.index] = Self.sum(bytes[part.index], count)
        total = Self.sum(total, count)
    }

    private static func sum(_ one: Int, _ other: Int) -> Int {
        let (sum, isOverflow) = one.addingReportingOverflow(other)
        return isOverflow ? (other < 0 ? .min : .max) : sum
    }
}

extension MemoryAccount.Part {
    fileprivate var index: Int {
        switch self {
        case .deliveries: 0
        case .input: 1
        case .responses: 2
        case .output: 3
        case .layers: 4
        }
    }
}

/// Memory in a ``MemoryAccount`` that is removed when its owner is deinitialized.
package struct AccountedMemory: ~Copyable {
    private let account: MemoryAccount?
    private let part: MemoryAccount.Part
    /// The number of bytes in the account.
    package private(set) var byteCount = 0

    /// Creates an entry without memory.
    package init(_ account: MemoryAccount?, _ part: MemoryAccount.Part) {
        self.account = account
        self.part = part
    }

    deinit { account?.add(-byteCount, to: part) }

    /// Replaces the number of bytes in the account.
    @inline(__always)
    package mutating func set(_ byteCount: Int) {
        guard byteCount != self.byteCount else { return }
        account?.add(byteCount - self.byteCount, to: part)
        self.byteCount = byteCount
    }
}
