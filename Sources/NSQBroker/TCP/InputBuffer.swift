import BrokerCore

/// Stores the received part of an incomplete command.
///
/// Most reads end with a complete command, so all connections read into one shared buffer. An
/// incomplete command is stored here and copied to the start of the shared buffer before the next
/// read. A large command gets a growing buffer of its own instead.
struct InputBuffer: ~Copyable {
    private var stored = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var storedCount = 0
    private var readTarget = ReadTarget.shared
    private var memory: AccountedMemory

    /// The buffer for the bytes of the next read.
    private enum ReadTarget {
        case shared
        case own
    }

    /// The maximum number of stored bytes that are copied to the shared buffer. Copying more bytes
    /// costs more than reading into a buffer of the connection's own.
    private static let maxCopiedBytes = 64 << 10
    private static let minimumReadBytes = 64 << 10

    /// - Parameter account: the account of the stored bytes.
    init(_ account: MemoryAccount) { memory = AccountedMemory(account, .input) }

    deinit { InputMemory.deallocate(stored) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: stored[..<storedCount]) }

    /// Returns the memory for the next read. The stored bytes are directly before it.
    ///
    /// - Parameter neededBytes: the size of the whole command, as far as it is known from the
    ///   received bytes. The memory grows with the received bytes, so a client that announces a body
    ///   of megabytes and sends nothing takes only kilobytes.
    mutating func readBuffer(
        sharing shared: UnsafeMutableRawBufferPointer, neededBytes: Int
    ) -> UnsafeMutableRawBufferPointer {
        if storedCount <= Self.maxCopiedBytes, neededBytes <= shared.count {
            readTarget = .shared
            shared.copyMemory(from: UnsafeRawBufferPointer(rebasing: stored[..<storedCount]))
            return UnsafeMutableRawBufferPointer(rebasing: shared[storedCount...])
        }
        readTarget = .own
        let minimum = Self.minimumReadBytes
        let growth = min(max(neededBytes - storedCount, minimum), max(storedCount, minimum))
        if stored.count - storedCount < growth { resize(to: storedCount + growth) }
        return UnsafeMutableRawBufferPointer(rebasing: stored[storedCount...])
    }

    /// Passes the stored and the new bytes to `process`, if there are at least `neededBytes` bytes.
    ///
    /// - Parameters:
    /// - new: the bytes that were read into the memory of the latest call of
    ///   ``readBuffer(sharing:neededBytes:)``.
    /// - process: returns the number of bytes that it has processed. The remaining bytes are
    ///   stored.
    mutating func append(
        _ new: UnsafeRawBufferPointer, neededBytes: Int, _ process: (UnsafeRawBufferPointer) -> Int
    ) {
        let all = UnsafeRawBufferPointer(
            start: new.baseAddress! - storedCount, count: storedCount + new.count)
        let processed = all.count < neededBytes ? 0 : process(all)
        store(UnsafeRawBufferPointer(rebasing: all[processed...]))
    }

    /// Passes the stored bytes to `process` again. The caller calls this method after a pause that
    /// did not wait for more bytes, such as a pause for an authorization.
    mutating func processAgain(_ process: (UnsafeRawBufferPointer) -> Int) {
        guard storedCount > 0 else { return }
        let processed = process(UnsafeRawBufferPointer(rebasing: stored[..<storedCount]))
        let rest = stored[processed..<storedCount]
        guard !rest.isEmpty else { return clear() }
        stored.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest))
        storedCount = rest.count
    }

    private mutating func store(_ rest: UnsafeRawBufferPointer) {
        guard !rest.isEmpty else { return clear() }
        switch readTarget {
        case .own:
            stored.baseAddress!.copyMemory(from: rest.baseAddress!, byteCount: rest.count)
        case .shared:
            if rest.count > stored.count {
                storedCount = 0
                resize(to: rest.count)
            }
            stored.copyMemory(from: rest)
        }
        storedCount = rest.count
    }

    private mutating func resize(to capacity: Int) {
        InputMemory.grow(&stored, usedByteCount: storedCount, to: capacity)
        memory.set(capacity)
    }

    /// Removes and returns the stored bytes.
    mutating func removeAll() -> [UInt8] {
        defer { clear() }
        return Array(stored[..<storedCount])
    }

    /// Removes the stored bytes and releases their memory.
    mutating func clear() {
        InputMemory.deallocate(stored)
        stored = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        storedCount = 0
        memory.set(0)
    }
}
