import DequeModule
import HTTP
import TallyBasics

/// The recent events of a page in order, limited by their size in bytes. The subscribers (connected
/// browsers) share the encoded bytes.
///
/// Each subscriber has a cursor: the number of the last event that the server sent to this
/// subscriber. If the log no longer has the event after the cursor, the subscriber receives the
/// whole state, and then the later events.
struct EventLog {
    private struct Entry {
        let piece: HTTPChunk
        /// The number of the first event in `piece`.
        let first: Int
        /// The end offset in bytes of each event in `piece`.
        let ends: [Int]

        var last: Int { first + ends.count - 1 }
    }

    private var entries: Deque<Entry> = []
    private var bytes = 0
    private let maxBytes: Int
    /// The number of the newest event.
    private(set) var last = 0

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Appends a batch that starts after ``last``, and removes the oldest entries beyond
    /// `maxBytes`.
    mutating func append(_ batch: EventBatch) {
        guard !batch.isEmpty else { return }
        precondition(batch.first == last + 1, "event numbers have no gap")
        let entry = Entry(piece: HTTPChunk(batch.bytes), first: batch.first, ends: batch.ends)
        last = entry.last
        bytes += entry.piece.count
        entries.append(entry)
        while bytes > maxBytes, entries.count > 1 { bytes -= entries.removeFirst().piece.count }
    }

    /// Removes all events. Called if an event was not recorded: every subscriber then needs the
    /// whole state.
    mutating func invalidate() {
        entries = []
        bytes = 0
        last += 1
    }

    /// Returns `true` if the log has every event after `cursor`.
    func canContinue(after cursor: Int) -> Bool {
        cursor <= last && cursor >= (entries.first?.first ?? last + 1) - 1
    }

    /// Returns the encoded events after `cursor` that were appended together, and the number of the
    /// last of these events; `nil` at the end of the log.
    func next(after cursor: Int) -> (piece: HTTPChunk, last: Int)? {
        guard cursor < last, let entry = entry(containing: cursor + 1) else { return nil }
        let skipped = cursor + 1 - entry.first
        guard skipped > 0 else { return (entry.piece, entry.last) }
        // A subscriber that reconnects may already have some events of the piece, so only the
        // remaining ones are copied.
        return (HTTPChunk(entry.piece.bytes[entry.ends[skipped - 1]...]), entry.last)
    }

    private func entry(containing number: Int) -> Entry? {
        let index = entries.partitioningIndex { $0.last >= number }
        guard index < entries.endIndex, entries[index].first <= number else { return nil }
        return entries[index]
    }
}
