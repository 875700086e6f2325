import ArgumentParser
import BrokerCore
import Glibc
import NSQBroker
import NSQWire

/// Prints the messages of a topic that are not finished.
struct DoctorExport {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case lines, frames
    }

    let format: Format

    /// - Throws: if there is no such topic, if it cannot be read, or if it is to be lines and a
    ///   message is none: then before anything is printed.
    func run(
        _ inspection: JournalInspection, _ topic: TopicName, _ channel: ChannelName?
    ) throws(LedgerError) {
        if format == .lines { try expectLines(inspection, topic, channel) }
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

    private func expectLines(
        _ inspection: JournalInspection, _ topic: TopicName, _ channel: ChannelName?
    ) throws(LedgerError) {
        var areLines = true
        try inspection.readBacklog(of: topic, channel) { body in
            areLines = !body.contains(UInt8(ascii: "\n"))
            return areLines
        }
        guard areLines else {
            throw LedgerError("a message holds a newline: it takes --format=frames")
        }
    }
}

/// Standard output in large writes.
private struct BufferedOutput {
    private var bytes: [UInt8] = []
    private(set) var failure: LedgerError?

    private static let mostBytes = 1 << 20

    mutating func append(bigEndian size: UInt32) { bytes.append(bigEndian: size) }

    mutating func append(_ more: some Collection<UInt8>) {
        bytes += more
        if bytes.count >= Self.mostBytes { flush() }
    }

    mutating func flush() {
        var left = bytes[...]
        while !left.isEmpty, failure == nil {
            let written = left.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0, errno != EINTR {
                failure = LedgerError("cannot print: \(String(cString: strerror(errno)))")
            }
            left = left.dropFirst(max(0, written))
        }
        bytes.removeAll(keepingCapacity: true)
    }
}
