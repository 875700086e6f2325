import ArgumentParser
import BrokerCore
import Glibc
import NSQBroker
import NSQWire

/// Prints the unfinished messages of a topic.
struct DoctorExport {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case lines, frames
    }

    let format: Format

    /// - Throws: `MessageLogError` if the topic is unknown or cannot be read. In the format
    ///   `lines`, a message that contains a newline is also an error; it is thrown before any
    ///   output.
    func run(
        _ inspection: JournalInspection, _ topic: TopicName, _ channel: ChannelName?
    ) throws(MessageLogError) {
        if format == .lines { try checkLines(inspection, topic, channel) }
        var output = BufferedOutput()
        try inspection.readBacklog(of: topic, channel) { body in
            if format == .frames { output.append(bigEndian: UInt32(body.count)) }
            output.append(body)
            if format == .lines { output.append("\n".utf8) }
            return output.failure == nil
        }
        output.flush()
        if let failure = output.failure { throw failure }
    }

    private func checkLines(
        _ inspection: JournalInspection, _ topic: TopicName, _ channel: ChannelName?
    ) throws(MessageLogError) {
        var areLines = true
        try inspection.readBacklog(of: topic, channel) { body in
            areLines = !body.contains(UInt8(ascii: "\n"))
            return areLines
        }
        guard areLines else {
            throw MessageLogError("a message contains a newline (pass --format=frames)")
        }
    }
}

/// Collects output and writes it to standard output in large blocks.
private struct BufferedOutput {
    private var bytes: [UInt8] = []
    private(set) var failure: MessageLogError?

    private static let maxBytes = 1 << 20

    mutating func append(bigEndian size: UInt32) { bytes.append(bigEndian: size) }

    mutating func append(_ more: some Collection<UInt8>) {
        bytes += more
        if bytes.count >= Self.maxBytes { flush() }
    }

    mutating func flush() {
        var left = bytes[...]
        while !left.isEmpty, failure == nil {
            let written = left.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0, errno != EINTR {
                failure = MessageLogError(
                    "cannot write to standard output: \(String(cString: strerror(errno)))")
            }
            left = left.dropFirst(max(0, written))
        }
        bytes.removeAll(keepingCapacity: true)
    }
}
