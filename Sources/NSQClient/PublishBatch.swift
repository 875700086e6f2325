import NSQWire

/// Messages that nsqd accepts all together or not at all (`MPUB`).
///
/// The batch stores the bodies in wire format in one array, so that appending a message allocates
/// no object.
public struct PublishBatch: Sendable {
    /// The number of messages.
    public private(set) var count = 0

    /// The bodies in wire format, each after its length.
    private var wire: [UInt8] = []
    private var hasEmptyBody = false
    /// The length of the longest body in bytes.
    private(set) var longestBody = 0

    /// Creates an empty batch.
    public init() {}

    /// Creates a batch with a message for each body.
    public init(_ bodies: some Sequence<some Collection<UInt8>>) {
        for body in bodies { append(body) }
    }

    /// The size on the wire in bytes; nsqd accepts up to its `--max-body-size`, 5 MiB by default.
    public var byteCount: Int { wire.count + 4 }

    /// Appends a message. A batch with an empty body cannot be published.
    public mutating func append(_ body: some Collection<UInt8>) {
        hasEmptyBody = hasEmptyBody || body.isEmpty
        longestBody = max(longestBody, body.count)
        // PublishSizeLimits refuses a body whose length exceeds Int32, so the clamped length is never
        // sent.
        wire.append(bigEndian: Int32(clamping: body.count))
        // Contiguous bodies are copied as a block: callers in other modules use the unspecialized
        // function, which would append each byte through a witness table.
        let isDone: Void? = body.withContiguousStorageIfAvailable { wire.append(contentsOf: $0) }
        if isDone == nil { wire.append(contentsOf: body) }
        count += 1
    }

    /// Removes all messages, and keeps the allocated memory.
    public mutating func removeAll() {
        wire.removeAll(keepingCapacity: true)
        count = 0
        hasEmptyBody = false
        longestBody = 0
    }

    var isPublishable: Bool { count > 0 && !hasEmptyBody }

    func append(to out: inout [UInt8], topic: TopicName) {
        Command.multiPublish(topic).append(to: &out)
        out.append(bigEndian: Int32(byteCount))
        out.append(bigEndian: Int32(count))
        out.append(contentsOf: wire)
    }
}
