/// One of the options: its flag, its key in the configuration file, and where its value lies.
///
/// The command line, the file, the help and `/config/…` all go by the one table of these.
package struct ServerOption: Sendable {
    package let flag: String
    /// In the configuration file, and under `/config/`; `nil` for what is a flag and no more.
    package let key: String?
    package let usage: String
    /// Ours, beyond nsqd 1.3.0's.
    package let isOwn: Bool
    /// A boolean needs no value, and takes none that stands apart.
    package let isBoolean: Bool
    /// What the help calls the value.
    package let typeName: String

    private let takeText: @Sendable (inout ServerOptions, String) throws(BadValue) -> Void
    private let takeValue: @Sendable (inout ServerOptions, ConfigValue) throws(BadValue) -> Void
    private let look: @Sendable (ServerOptions) -> any OptionValue

    enum Key {
        /// The flag with `_` for `-`.
        case likeFlag
        case named(String)
        case none
    }

    init<Value: OptionValue>(
        _ flag: String, _ path: any WritableKeyPath<ServerOptions, Value> & Sendable,
        _ usage: String,
        key: Key = .likeFlag, isOwn: Bool = false
    ) {
        self.flag = flag
        self.key =
            switch key {
            case .likeFlag: String(flag.map { $0 == "-" ? "_" : $0 })
            case .named(let name): name
            case .none: nil
            }
        self.usage = usage
        self.isOwn = isOwn
        isBoolean = Value.isBoolean
        typeName = Value.typeName
        takeText = { options, text throws(BadValue) in try options[keyPath: path].take(text) }
        takeValue = { options, value throws(BadValue) in try options[keyPath: path].take(value) }
        look = { $0[keyPath: path] }
    }

    /// Takes what stands behind the flag. What makes a list is added to it.
    package func set(_ options: inout ServerOptions, to text: String) throws(BadValue) {
        try takeText(&options, text)
    }

    /// Takes what the configuration file has.
    package func set(_ options: inout ServerOptions, to value: ConfigValue) throws(BadValue) {
        try takeValue(&options, value)
    }

    /// The value, as the help shows a default; `nil` if there is nothing worth showing.
    package func shown(in options: ServerOptions) -> String? { look(options).shown }

    func value(in options: ServerOptions) -> any OptionValue { look(options) }

    static func named(key: String) -> ServerOption? { all.first { $0.key == key } }
}

/// A value as a configuration file has it.
package enum ConfigValue: Equatable, Sendable, CustomStringConvertible {
    case text(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case list([ConfigValue])
    /// What no option takes: a date, or a table.
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

/// Why a value cannot be one.
package struct BadValue: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }

    /// It is none of the right kind.
    static let malformed = BadValue("parse error")
    static let outOfRange = BadValue("value out of range")
}
