import DequeModule
import HTTP

/// What browsers are told, in order: each piece of it once, however many read it.
///
/// A browser is a cursor: the number of the last event it was given. The log is bounded, and one
/// whose cursor has fallen behind its start is given the present state, and goes on from there.
struct EventLog {
    private struct Entry {
        let piece: HTTPPiece
        /// The number of the first event in it.
        let first: Int
        /// Where each of its events ends.
        let ends: [Int]

        var last: Int { first + ends.count - 1 }
    }

    private var entries: Deque<Entry> = []
    private var bytes = 0
    private let maxBytes: Int
    /// The number of the last event there was.
    private(set) var last = 0

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Adds a batch that was begun with the number behind `last`.
    mutating func append(_ events: EventBatch) {
        guard !events.ends.isEmpty else { return }
        precondition(events.first == last + 1, "events have no gap")
        let entry = Entry(
            piece: HTTPPiece(events.bytes), first: events.first, ends: events.ends)
        last = entry.last
        bytes += entry.piece.count
        entries.append(entry)
        while bytes > maxBytes, entries.count > 1 { bytes -= entries.removeFirst().piece.count }
    }

    /// Forgets all there is, because something is missing in it: everybody needs the state.
    mutating func breakOff() {
        entries = []
        bytes = 0
        last += 1
    }

    /// Whether a browser that was given this event can go on with what followed it.
    func holds(_ cursor: Int) -> Bool {
        cursor <= last && cursor >= (entries.first?.first ?? last + 1) - 1
    }

    /// What comes behind an event that the log holds; `nil` if that was the last.
    func next(after cursor: Int) -> (piece: HTTPPiece, last: Int)? {
        guard cursor < last, let entry = entry(holding: cursor + 1) else { return nil }
        let skipped = cursor + 1 - entry.first
        guard skipped > 0 else { return (entry.piece, entry.last) }
        // It broke off in the middle of a piece, and gets the rest of it for itself.
        return (HTTPPiece(entry.piece.bytes[entry.ends[skipped - 1]...]), entry.last)
    }

    private func entry(holding number: Int) -> Entry? {
        var range = entries.startIndex..<entries.endIndex
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            if entries[middle].last < number {
                range = middle + 1..<range.upperBound
            } else if entries[middle].first > number {
                range = range.lowerBound..<middle
            } else {
                return entries[middle]
            }
        }
        return nil
    }
}

/// Events as they go over the wire, numbered one after the other.
///
/// - SeeAlso: HTML, “Server-sent events”.
struct EventBatch {
    let first: Int
    private let run: String
    private(set) var bytes: [UInt8] = []
    private(set) var ends: [Int] = []

    init(after last: Int, of run: String) {
        first = last + 1
        self.run = run
    }

    mutating func add(_ name: StaticString, _ data: [UInt8]) {
        bytes += EventBatch.event(name, EventID(run: run, number: first + ends.count), data)
        ends.append(bytes.count)
    }

    /// One event by itself. Data of one line: our JSON has no other.
    static func event(_ name: StaticString, _ id: EventID, _ data: [UInt8]) -> [UInt8] {
        Array("id: \(id)\nevent: \(name)\ndata: ".utf8) + data + Array("\n\n".utf8)
    }
}

/// Names an event across restarts of the server: a number alone would be taken for one of the last
/// run's.
struct EventID: CustomStringConvertible {
    let run: String
    let number: Int

    init(run: String, number: Int) {
        self.run = run
        self.number = number
    }

    /// Reads what a browser says it heard last.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int(parts[1]), number >= 0 else { return nil }
        self.init(run: String(parts[0]), number: number)
    }

    var description: String { "\(run)-\(number)" }
}
