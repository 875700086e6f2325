import HTTP

/// An invalid query parameter.
struct BadArgument: Error, CustomStringConvertible {
    let description: String
}

extension VideoTable.Query {
    /// Parses the query parameters `top`, `sort`, `order` and `search`.
    init(_ query: HTTPQuery) throws(BadArgument) {
        self.init()
        if let top = query["top"] {
            guard let number = Int(top), 1...Self.maxLimit ~= number else {
                throw BadArgument(description: "top must be a number from 1 to \(Self.maxLimit)")
            }
            limit = number
        }
        if let name = query["sort"] {
            guard let sort = Sort(rawValue: name) else {
                throw BadArgument(description: "sort must be plays, recent or video")
            }
            self.sort = sort
        }
        switch query["order"] {
        case nil: isAscending = sort == .video
        case "ascending": isAscending = true
        case "descending": isAscending = false
        default: throw BadArgument(description: "order must be ascending or descending")
        }
        search = (query["search"] ?? "").lowercased()
    }
}
