/// The limit of the memory for messages and clients, ``BrokerOptions/maxMemoryBytes``.
extension Broker {
    /// The account of the memory that clients and the state of messages take.
    package var memoryAccount: MemoryAccount { context.memory }

    /// Returns `true` if `byteCount` more bytes are within ``BrokerOptions/maxMemoryBytes``.
    package func hasMemory(for byteCount: Int) -> Bool {
        context.hasMemory(for: byteCount)
    }

    /// Returns `true` if a received body can be stored within ``BrokerOptions/maxMemoryBytes``, with
    /// `overhead` further bytes.
    ///
    /// The received copy of the body is still in the account as input, or in the receive buffer that
    /// all clients share. It is released right after the body is stored, so the body is counted once.
    func hasMemory(toStore bodyBytes: Int, overhead: Int) -> Bool {
        let others = max(0, context.memory.total - bodyBytes)
        return context.slabs.usedBytes <= options.maxMemoryBytes - bodyBytes - overhead - others
    }
}
