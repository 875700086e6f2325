/// An option: its flag, its key in the configuration file, its help text, and the key path of its
/// value.
///
/// The command line, the configuration file, the help and `/config/…` are all derived from the
/// table ``all``.
package struct ServerOption: Sendable {
    /// The name on the command line, without dashes.
    package let flag: String
    /// The name in the configuration file and under `/config/`; `nil` if the option is only a flag.
    package let key: String?
    /// The description in the help.
    package let usage: String
    /// `true` if nsqd 1.3.0 does not have the option.
    package let isOwn: Bool
    /// `true` if the flag can be given without a value. A value must then be written as
    /// `--flag=value`.
    package let isBoolean: Bool
    /// `true` if the flag can be given several times.
    package let isRepeating: Bool
    /// The name of the value's type in the help.
    package let typeName: String

    private let parseText: @Sendable (inout ServerOptions, String) throws(BadValue) -> Void
    private let setValue: @Sendable (inout ServerOptions, ConfigValue) throws(BadValue) -> Void
    private let readValue: @Sendable (ServerOptions) -> any OptionValue

    /// The rule for an option's key in the configuration file.
    enum Key {
        /// The flag with `_` instead of `-`.
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
        isRepeating = Value.isList
        typeName = Value.typeName
        parseText = { options, text throws(BadValue) in try options[keyPath: path].parse(text) }
        setValue = { options, value throws(BadValue) in try options[keyPath: path].set(value) }
        readValue = { $0[keyPath: path] }
    }

    /// Parses the value of a flag and stores it in the options. A list option appends it.
    package func set(_ options: inout ServerOptions, to text: String) throws(BadValue) {
        try parseText(&options, text)
    }

    /// Stores a value of a configuration file in the options.
    package func set(_ options: inout ServerOptions, to value: ConfigValue) throws(BadValue) {
        try setValue(&options, value)
    }

    /// Returns the value as the help shows a default; `nil` for an empty value.
    package func helpText(in options: ServerOptions) -> String? { readValue(options).helpText }

    /// Returns the value of the option.
    func value(in options: ServerOptions) -> any OptionValue { readValue(options) }

    /// Returns the option with this key in the configuration file.
    static func named(key: String) -> ServerOption? { all.first { $0.key == key } }
}

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

/// The reason why a value is invalid.
package struct BadValue: Error, Equatable, CustomStringConvertible {
    /// The message. Where Go's flag package has a message for the case, it is the same.
    package let description: String
    /// How to write the value instead; `nil` if there is no proposal.
    package let remedy: String?

    init(_ description: String, remedy: String? = nil) {
        self.description = description
        self.remedy = remedy
    }

    /// The text cannot be parsed as a value of the option's type.
    static let malformed = BadValue("parse error")
    static let outOfRange = BadValue("value out of range")
}
