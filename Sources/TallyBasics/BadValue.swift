/// The reason why a value is invalid.
package struct BadValue: Error, Equatable, CustomStringConvertible {
    /// The message. If Go's flag package has a message for the case, both messages are the same.
    package let description: String
    /// How to write the value instead; `nil` if there is no proposal.
    package let remedy: String?

    /// Combines a message with an optional proposal.
    package init(_ description: String, remedy: String? = nil) {
        self.description = description
        self.remedy = remedy
    }

    /// The text cannot be parsed as a value of the option's type.
    package static let malformed = BadValue("parse error")
    /// The text is a number outside of the range of its type.
    package static let outOfRange = BadValue("value out of range")
}
