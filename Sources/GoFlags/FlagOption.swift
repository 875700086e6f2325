import TallyBasics

/// An option: its flag, its key in the configuration file, its help text, and the key path of its
/// value.
///
/// A table of such values describes all options of a program. The command line, the configuration
/// file and the help are derived from it.
package struct FlagOption<Options>: Sendable {
    /// The name on the command line, without dashes.
    package let flag: String
    /// The name in the configuration file; `nil` if the option exists only on the command
    /// line.
    package let key: String?
    /// The description in the help.
    package let usage: String
    /// `true` if the original program, NSQ 1.3.0, does not have the option.
    package let isOwn: Bool
    /// `true` if the flag can be given without a value. A value must then be written as
    /// `--flag=value`.
    package let isBoolean: Bool
    /// `true` if the flag can be given several times.
    package let isRepeating: Bool
    /// The name of the value's type in the help.
    package let typeName: String

    private let parseText: @Sendable (inout Options, String) throws(BadValue) -> Void
    private let setValue: @Sendable (inout Options, ConfigValue) throws(BadValue) -> Void
    private let readValue: @Sendable (Options) -> any OptionValue

    /// The rule for an option's key in the configuration file.
    package enum Key {
        /// The flag with `_` instead of `-`.
        case likeFlag
        case named(String)
        /// No name: the option exists only on the command line.
        case commandLineOnly
    }

    /// Describes an option.
    ///
    /// - Parameters:
    ///   - flag: the name on the command line, without dashes.
    ///   - path: the key path of the value in the options.
    ///   - usage: the description in the help.
    ///   - key: the name in the configuration file.
    ///   - isOwn: `true` if the original program does not have the option.
    package init<Value: OptionValue>(
        _ flag: String, _ path: any WritableKeyPath<Options, Value> & Sendable,
        _ usage: String,
        key: Key = .likeFlag, isOwn: Bool = false
    ) {
        self.flag = flag
        self.key =
            switch key {
            case .likeFlag: String(flag.map { $0 == "-" ? "_" : $0 })
            case .named(let name): name
            case .commandLineOnly: nil
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
    package func set(_ options: inout Options, to text: String) throws(BadValue) {
        try parseText(&options, text)
    }

    /// Stores a value of a configuration file in the options.
    package func set(_ options: inout Options, to value: ConfigValue) throws(BadValue) {
        try setValue(&options, value)
    }

    /// Returns the value as the help shows a default; `nil` for an empty value.
    package func helpText(in options: Options) -> String? { readValue(options).helpText }

    package func value(in options: Options) -> any OptionValue { readValue(options) }
}
