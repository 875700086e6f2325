/// The limit of the memory for messages and clients, ``BrokerOptions/maxMemoryBytes``.
extension Broker {
    /// The account of the memory that clients and the state of messages take.
    package var memoryAccount: MemoryAccount { context.memory }

    /// Returns `true` if `byteCount` more bytes are within ``BrokerOptions/maxMemoryBytes``.
    package func hasMemory(for byteCount: Int) -> Bool {
        context.slabs.usedBytes <= options.maxMemoryBytes - byteCount - context.memory.total
    }

    /// Returns `true` if a received body can be stored within ``BrokerOptions/maxMemoryBytes``, with
    /// `overhead` further bytes.
    ///
    /// The body is still in the account as input, or in the buffer that all clients share, and leaves it
    /// right after it is stored. So it is counted once.
    func hasMemory(toStore bodyBytes: Int, overhead: Int) -> Bool {
        let others = max(0, context.memory.total - bodyBytes)
        return context.slabs.usedBytes <= options.maxMemoryBytes - bodyBytes - overhead - others
    }
}
