import HTTP
import NSQAdmin
import TallyBasics

/// A request for one page of the list of topics.
struct TopicListQuery {
    /// The order of the list. Topics with equal values are ordered by name.
    enum Sort: String {
        case name, depth, flight, deferred, incoming, outgoing, messages, clients, channels
    }

    /// A page of the list.
    struct Page {
        var topics: [ClusterSnapshot.Topic]
        /// The number of topics that match the search.
        var matching: Int
        /// The cursor of the next page; `nil` at the end.
        var next: String?
    }

    private var sort = Sort.name
    private var isAscending = true
    private var search = ""
    private var limit = 50
    private var cursor: Position?

    /// The sort key of a topic, which also serves as the cursor of the next page.
    private struct Position {
        var figure: Double
        var name: String
    }

    private static let maxLimit = 500

    /// Parses the query parameters `search`, `sort`, `order`, `after` and `limit`.
    init(_ query: HTTPQuery) throws(BadArgument) {
        if let name = query["sort"] {
            guard let sort = Sort(rawValue: name) else {
                throw BadArgument(description: "sort must be name or a figure, such as depth")
            }
            self.sort = sort
        }
        switch query["order"] {
        case nil: isAscending = sort == .name
        case "ascending": isAscending = true
        case "descending": isAscending = false
        default: throw BadArgument(description: "order must be ascending or descending")
        }
        search = (query["search"] ?? "").lowercased()
        if let text = query["limit"] {
            guard let number = Int(text), 1...Self.maxLimit ~= number else {
                throw BadArgument(
                    description: "limit must be a number from 1 to \(Self.maxLimit)")
            }
            limit = number
        }
        guard let text = query["after"] else { return }
        let parts = text.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let figure = Double(parts[0]) else {
            throw BadArgument(description: "after must be the member next of a response")
        }
        cursor = Position(figure: figure, name: String(parts[1]))
    }

    /// Returns the page of the list. It starts after the cursor, even if the topic that the cursor
    /// was made from has another position now.
    func page(of topics: [ClusterSnapshot.Topic]) -> Page {
        var positions: [(position: Position, index: Int)] = []
        for (index, topic) in topics.enumerated() where matches(topic) {
            positions.append((Position(figure: figure(of: topic), name: topic.name), index))
        }
        let matching = positions.count
        if let cursor { positions.removeAll { !precedes(cursor, $0.position) } }
        positions.sort { precedes($0.position, $1.position) }
        let shown = positions.prefix(limit)
        let last = positions.count > limit ? shown.last : nil
        return Page(
            topics: shown.map { topics[$0.index] }, matching: matching,
            next: last.map { "\($0.position.figure)|\($0.position.name)" })
    }

    private func precedes(_ one: Position, _ other: Position) -> Bool {
        if one.figure != other.figure { return (one.figure < other.figure) == isAscending }
        let isFirst = one.name < other.name
        return sort == .name && !isAscending ? other.name < one.name : isFirst
    }

    /// Searches in the names of the topic and of its channels.
    private func matches(_ topic: ClusterSnapshot.Topic) -> Bool {
        search.isEmpty || topic.name.lowercased().contains(search)
            || topic.channels.contains { $0.name.lowercased().contains(search) }
    }

    private func figure(of topic: ClusterSnapshot.Topic) -> Double {
        let figures = topic.figures
        return switch sort {
        case .name: 0
        case .depth: Double(figures.depth)
        case .flight: Double(figures.inFlight)
        case .deferred: Double(figures.deferred)
        case .incoming: figures.incoming ?? 0
        case .outgoing: figures.outgoing ?? 0
        case .messages: Double(figures.messages)
        case .clients: Double(figures.clients)
        case .channels: Double(topic.channels.count)
        }
    }
}
