/// The properties of an option that the help, a manual page or a completion script shows.
package struct FlagDescription: Sendable {
    /// The name on the command line, without dashes.
    package let flag: String
    /// The description in the help.
    package let usage: String
    /// `true` if the flag can be given without a value.
    package let isBoolean: Bool
    /// `true` if the flag can be given several times.
    package let isRepeating: Bool
    /// The name of the value's type in the help.
    package let typeName: String
    /// The default value as the help shows it; `nil` for an empty value.
    package let defaultText: String?
}

extension FlagOption {
    /// Describes the option.
    ///
    /// - Parameter defaults: the options with the default values.
    package func description(_ defaults: Options) -> FlagDescription {
        FlagDescription(
            flag: flag, usage: usage, isBoolean: isBoolean, isRepeating: isRepeating,
            typeName: typeName, defaultText: helpText(in: defaults))
    }
}

extension FlagSet {
    /// Describes all options.
    package func descriptions(_ defaults: Options) -> [FlagDescription] {
        options.map { $0.description(defaults) }
    }
}
