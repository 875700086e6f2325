/// The identity of a job in its store: a positive number, assigned in the order of the enqueues.
public struct JobID: Hashable, Comparable, Sendable {
    /// The number.
    public let number: Int64

    /// Creates an ID from its number.
    public init(_ number: Int64) {
        self.number = number
    }

    /// Returns `true` if `left` was assigned before `right`.
    public static func < (left: JobID, right: JobID) -> Bool { left.number < right.number }
}

extension JobID: LosslessStringConvertible {
    /// Parses decimal digits; `nil` if the text is not a positive number.
    public init?(_ description: String) {
        guard let number = Int64(description), number > 0 else { return nil }
        self.init(number)
    }

    /// The number in decimal digits.
    public var description: String { String(number) }
}

extension JobID: Codable {
    /// Decodes a number.
    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(Int64.self))
    }

    /// Encodes the number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}
