import NSQWire

/// Messages to publish at once, all or none (`MPUB`).
///
/// The bodies are laid down as they will be sent, so that a message costs no memory of its own.
public struct PublishBatch: Sendable {
    /// How many messages it holds.
    public private(set) var count = 0

    /// Each body with its length before it.
    private var wire: [UInt8] = []
    private var hasEmptyBody = false

    public init() {}

    public init(_ bodies: some Sequence<some Collection<UInt8>>) {
        for body in bodies { append(body) }
    }

    /// What the batch is on the wire, in bytes; nsqd takes up to its `--max-body-size`, 5 MiB
    /// unless told otherwise.
    public var byteCount: Int { wire.count + 4 }

    /// Adds a message. One with an empty body makes the whole batch be refused.
    public mutating func append(_ body: some Collection<UInt8>) {
        hasEmptyBody = hasEmptyBody || body.isEmpty
        wire.append(bigEndian: Int32(body.count))
        // As one piece where that can be had: this is a generic function of another module to its
        // callers, in which bytes would otherwise go one by one through a witness table.
        let isDone: Void? = body.withContiguousStorageIfAvailable { wire.append(contentsOf: $0) }
        if isDone == nil { wire.append(contentsOf: body) }
        count += 1
    }

    /// Empties the batch; its memory is kept.
    public mutating func removeAll() {
        wire.removeAll(keepingCapacity: true)
        count = 0
        hasEmptyBody = false
    }

    var isPublishable: Bool { count > 0 && !hasEmptyBody }

    func append(to out: inout [UInt8], topic: TopicName) {
        Command.multiPublish(topic).append(to: &out)
        out.append(bigEndian: Int32(byteCount))
        out.append(bigEndian: Int32(count))
        out.append(contentsOf: wire)
    }
}
