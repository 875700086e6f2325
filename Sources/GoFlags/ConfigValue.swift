/// A value of a configuration file.
package enum ConfigValue: Equatable, Sendable, CustomStringConvertible {
    case text(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case list([ConfigValue])
    /// A value of a type that no option has, such as a date or a table.
    case other(String)

    package var description: String {
        switch self {
        case .text(let text): "\"\(text)\""
        case .integer(let number): "\(number)"
        case .number(let number): "\(number)"
        case .boolean(let isTrue): "\(isTrue)"
        case .list(let values): "[\(values.map(\.description).joined(separator: ", "))]"
        case .other(let text): text
        }
    }
}
