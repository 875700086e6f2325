import Glibc
import NSQBroker
import TOMLKit

/// A configuration file of nsqd: option names and values in TOML.
struct ConfigFile {
    let path: String
    private var values: [String: ConfigValue] = [:]

    /// - Throws: `SetupError` if the file cannot be read, or is not valid TOML.
    init(path: String) throws(SetupError) {
        try self.init(path: path, text: try Self.read(path))
    }

    init(path: String, text: String) throws(SetupError) {
        self.path = path
        do {
            let table = try TOMLTable(string: text)
            for (key, value) in table { values[key] = ConfigValue(value) }
        } catch let error as TOMLParseError {
            throw Self.failure(path, "line \(error.source.begin.line): \(error.description)")
        } catch {
            throw Self.failure(path, "\(error)")
        }
    }

    /// Applies the file's values to `options`, except to the options in `given`, which flags have
    /// set.
    ///
    /// - Returns: the unknown option names in the file, which nsqd ignores too.
    func apply(
        to options: inout ServerOptions, except given: Set<String>
    ) throws(SetupError) -> [String] {
        for option in ServerOption.all where !given.contains(option.flag) {
            guard let key = option.key, let value = values[key] else { continue }
            do throws(BadValue) {
                try option.set(&options, to: value)
            } catch {
                let remedy = error.remedy.map { " (\($0))" } ?? ""
                throw Self.failure(path, "\(key) = \(value): \(error)\(remedy)")
            }
        }
        let known = Set(ServerOption.all.compactMap(\.key))
        return values.keys.filter { !known.contains($0) }.sorted()
    }

    private static func failure(_ path: String, _ reason: String) -> SetupError {
        SetupError("failed to load config file \(path) - \(reason)")
    }

    private static func read(_ path: String) throws(SetupError) -> String {
        func reason() -> String { String(cString: strerror(errno)) }
        guard let file = fopen(path, "r") else { throw failure(path, reason()) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 {
            bytes += chunk[..<count]
        }
        guard ferror(file) == 0 else { throw failure(path, reason()) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(path, "not UTF-8")
        }
        return text
    }
}

extension ConfigValue {
    init(_ value: any TOMLValueConvertible) {
        if let text = value.string {
            self = .text(text)
        } else if let isTrue = value.bool {
            self = .boolean(isTrue)
        } else if let number = value.int {
            self = .integer(number)
        } else if let number = value.double {
            self = .number(number)
        } else if let values = value.array {
            self = .list(values.map { ConfigValue($0) })
        } else {
            self = .other(value.debugDescription)
        }
    }
}
