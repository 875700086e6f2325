extension Command {
    /// Appends the command line with its newline.
    package func append(to out: inout [UInt8]) {
        switch self {
        case .identify: out.append("IDENTIFY\n")
        case .authenticate: out.append("AUTH\n")
        case .subscribe(let topic, let channel): out.append("SUB \(topic) \(channel)\n")
        case .ready(let count): out.append("RDY \(count)\n")
        case .finish(let id): out.append("FIN ", id, "\n")
        case .requeue(let id, let milliseconds): out.append("REQ ", id, " \(milliseconds)\n")
        case .touch(let id): out.append("TOUCH ", id, "\n")
        case .close: out.append("CLS\n")
        case .nop: out.append("NOP\n")
        case .publish(let topic): out.append("PUB \(topic)\n")
        case .multiPublish(let topic): out.append("MPUB \(topic)\n")
        case .deferredPublish(let topic, let milliseconds):
            out.append("DPUB \(topic) \(milliseconds)\n")
        }
    }

    /// Appends the command line, the size of the body in four bytes, and the body.
    package func append(body: some Collection<UInt8>, to out: inout [UInt8]) {
        append(to: &out)
        out.append(bigEndian: Int32(body.count))
        out.append(contentsOf: body)
    }

    /// Appends an MPUB command: the command line, the size of the remaining bytes, the number of
    /// messages, and each of `bodies` after its size. Sizes and the number take four bytes each.
    package static func appendMultiPublish(
        _ topic: TopicName, _ bodies: some Collection<some Collection<UInt8>>, to out: inout [UInt8]
    ) {
        Command.multiPublish(topic).append(to: &out)
        out.append(bigEndian: Int32(bodies.reduce(4) { $0 + 4 + $1.count }))
        out.append(bigEndian: Int32(bodies.count))
        for body in bodies {
            out.append(bigEndian: Int32(body.count))
            out.append(contentsOf: body)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ text: String) {
        append(contentsOf: text.utf8)
    }

    fileprivate mutating func append(_ before: String, _ id: MessageID, _ after: String) {
        append(before)
        append(contentsOf: id.bytes)
        append(after)
    }
}
