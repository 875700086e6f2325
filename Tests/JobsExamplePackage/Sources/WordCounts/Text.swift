import GRDB

/// An article or a comment, whose words a background job counts.
public struct Text: Codable, Sendable, FetchableRecord, MutablePersistableRecord {
    /// The kind of the text.
    public enum Kind: String, Codable, Sendable {
        case article, comment
    }

    public var id: Int64?
    public var kind: Kind
    public var body: String
    /// The number of words; `nil` until the job has ended.
    public var words: Int?

    public init(_ kind: Kind, _ body: String) {
        self.kind = kind
        self.body = body
    }

    public mutating func didInsert(_ inserted: InsertionSuccess) {
        id = inserted.rowID
    }

    static func createTable(_ database: Database) throws {
        try database.create(table: "text", options: .ifNotExists) { table in
            table.autoIncrementedPrimaryKey("id")
            table.column("kind", .text).notNull()
            table.column("body", .text).notNull()
            table.column("words", .integer)
        }
    }
}
