/// Consecutive server-sent events in wire format.
///
/// - SeeAlso: HTML, “Server-sent events”.
struct EventBatch {
    /// The number of the first event.
    let first: Int
    private let runID: String
    private(set) var bytes: [UInt8] = []
    /// The end offset of each event in ``bytes``.
    private(set) var ends: [Int] = []

    init(after last: Int, runID: String) {
        first = last + 1
        self.runID = runID
    }

    var isEmpty: Bool { ends.isEmpty }

    mutating func append(_ name: StaticString, _ data: [UInt8]) {
        bytes += Self.encode(name, EventID(runID: runID, number: first + ends.count), data)
        ends.append(bytes.count)
    }

    /// Encodes one event.
    ///
    /// - Parameter data: the data on one line; `JSONWriter` writes no line breaks.
    static func encode(_ name: StaticString, _ id: EventID, _ data: [UInt8]) -> [UInt8] {
        Array("id: \(id)\nevent: \(name)\ndata: ".utf8) + data + Array("\n\n".utf8)
    }
}

/// The ID of an event: a run ID and an event number. The run ID is needed because event numbers
/// start at 1 after every restart.
struct EventID: CustomStringConvertible {
    let runID: String
    let number: Int

    init(runID: String, number: Int) {
        self.runID = runID
        self.number = number
    }

    /// Parses the `Last-Event-ID` header of a browser.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int(parts[1]), number >= 0 else { return nil }
        self.init(runID: String(parts[0]), number: number)
    }

    var description: String { "\(runID)-\(number)" }
}
