import ArgumentParser

/// Go's way with booleans, which nsqd's users know: `--snappy` means `--snappy=true`, and a value
/// never stands apart.
enum GoFlags {
    private static let booleans: Set = ["--deflate", "--snappy", "--tls-required"]

    /// The arguments with a value for each flag that is a boolean.
    static func complete(_ arguments: [String]) -> [String] {
        arguments.map { booleans.contains($0) ? "\($0)=true" : $0 }
    }
}

/// A boolean as Go reads it.
struct GoBool: ExpressibleByArgument {
    let value: Bool

    init(_ value: Bool) { self.value = value }

    init?(argument: String) {
        switch argument {
        case "1", "t", "T", "true", "TRUE", "True": value = true
        case "0", "f", "F", "false", "FALSE", "False": value = false
        default: return nil
        }
    }

    var defaultValueDescription: String { "\(value)" }
}
