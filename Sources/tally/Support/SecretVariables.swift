import ArgumentParser
import HTTP

/// Reads secrets from environment variables. Other users of the machine can read the arguments of a
/// process, but not its environment.
enum SecretVariables {
    /// The name of the variable for `--nsqd-auth-secret`.
    static let authSecretName = "TALLY_NSQD_AUTH_SECRET"

    /// The value of the variable for `--nsqd-auth-secret`; `nil` if it is not set or empty.
    static var authSecret: String? {
        let value = Terminal.environment(authSecretName)
        return value.isEmpty ? nil : value
    }

    /// Replaces each `${NAME}` in a part of a URL by the percent-encoded value of a variable.
    ///
    /// - Parameter value: returns the value of a variable; an empty text if it is not set.
    /// - Throws: `ValidationError` if a variable is not set or empty.
    static func expanded(
        _ text: String, by value: (String) -> String
    ) throws -> String {
        var result = ""
        var rest = text[...]
        while let match = rest.firstMatch(of: #/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/#) {
            let value = value(String(match.1))
            guard !value.isEmpty else {
                throw ValidationError("the environment variable \(match.1) is not set")
            }
            result += rest[..<match.range.lowerBound] + PercentCoding.encode(value)
            rest = rest[match.range.upperBound...]
        }
        return result + rest
    }
}
