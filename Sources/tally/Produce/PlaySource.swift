import PlayCounts
import UVLoop

/// The messages to publish, in order: the lines of a file, or generated plays.
// SAFETY: the object is created before the producer's thread starts, and only that thread uses it
// until it has ended.
final class PlaySource: @unchecked Sendable {
    private let plays: PlayGenerator?
    private var index = 0
    private var file: PlayFile?
    private var reader: PlayFileReader?
    private var isStopped = false
    private var onStop: () -> Void = {}

    /// - Throws: an error if the file cannot be opened, or if the options contradict each other.
    init(file: String?, _ options: PlayOptions, runID: UInt64) throws {
        plays = file == nil ? try options.generator(runID: runID) : nil
        if let file { self.file = try PlayFile(path: file) }
    }

    /// Connects the source to the producer that will publish its messages.
    ///
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    func feed(_ producer: PlayProducer, on loop: Loop) throws(UVError) {
        if let file = file.take() {
            let reader = try PlayFileReader(file, on: loop)
            reader.onReady = { [weak producer] in producer?.readAgain() }
            producer.hasSourceEnded = { reader.hasEnded }
            self.reader = reader
        }
        onStop = { [weak producer] in producer?.finish() }
    }

    /// Returns the next message, or `nil` if there is none at present.
    func next() throws -> [UInt8]? {
        if let reader { return try reader.next() }
        guard let plays, index < plays.count, !isStopped else { return nil }
        defer { index += 1 }
        return plays[index].json
    }

    /// Stops the source. ``next()`` still returns the lines that were already read completely.
    func stop() {
        isStopped = true
        reader?.stop()
        onStop()
    }

    /// `true` if all messages were returned.
    var isComplete: Bool { reader?.isAtEnd ?? (index == plays?.count) }

    /// The number of bytes of an incomplete line, after a stop.
    var incompleteBytes: Int { reader?.incompleteBytes ?? 0 }
}
