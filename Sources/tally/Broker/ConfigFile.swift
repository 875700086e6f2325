import Glibc
import GoFlags
import NSQBroker
import TOMLKit
import TallyBasics
import UVLoop

/// A configuration file: option names and values in TOML.
struct ConfigFile {
    let path: String
    private(set) var values: [String: ConfigValue] = [:]
    /// The texts of the files that were read, by path. They are cached because a path may be a
    /// pipe, which can be read only once.
    private static let texts = LockedValue<[String: String]>([:])

    /// - Throws: `SetupError` if the file cannot be read, or is not valid TOML.
    init(path: String) throws(SetupError) {
        try self.init(path: path, text: try Self.read(path))
    }

    /// Reads a file that may have changed since the start.
    ///
    /// - Throws: `SetupError` if the file cannot be read, or is not valid TOML.
    init(rereading path: String) throws(SetupError) {
        try self.init(path: path, text: try Self.readFile(path))
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

    /// Applies the values of the file to `options`, except to the options in `given`, because flags
    /// have set those.
    ///
    /// - Parameter table: the options of the program.
    /// - Returns: the unknown option names in the file. NSQ's programs ignore such names too.
    func apply<Options>(
        _ table: [FlagOption<Options>], to options: inout Options, except given: Set<String>
    ) throws(SetupError) -> [String] {
        for option in table where !given.contains(option.flag) {
            guard let key = option.key, let value = values[key] else { continue }
            try set(option, of: &options, key, to: value)
        }
        let known = Set(table.compactMap(\.key))
        return values.keys.filter { !known.contains($0) }.sorted()
    }

    /// Sets an option to the value of a key.
    func set<Options>(
        _ option: FlagOption<Options>, of options: inout Options, _ key: String,
        to value: ConfigValue
    ) throws(SetupError) {
        do throws(BadValue) {
            try option.set(&options, to: value)
        } catch {
            let remedy = error.remedy.map { " (\($0))" } ?? ""
            throw Self.failure(path, "\(key) = \(value): \(error)\(remedy)")
        }
    }

    /// Returns an error about a key. The error does not contain the value, because it may be a
    /// secret.
    func error(_ key: String, _ reason: String) -> SetupError {
        Self.failure(path, "\(key): \(reason)")
    }

    /// Returns an error for an unknown key, which suggests the most similar known key.
    ///
    /// - Parameter names: the known keys, with `-` between words.
    func unknownKey(_ key: String, among names: [String]) -> SetupError {
        let nearest = Suggestion.nearest(to: key, in: names)
            .map { " (did you mean \(String($0.map { $0 == "-" ? "_" : $0 }))?)" }
        return error(key, "unknown key" + (nearest ?? ""))
    }

    private static func failure(_ path: String, _ reason: String) -> SetupError {
        SetupError("failed to load config file \(path) - \(reason)")
    }

    private static func read(_ path: String) throws(SetupError) -> String {
        if let text = texts.withLock({ $0[path] }) { return text }
        let text = try readFile(path)
        texts.withLock { $0[path] = text }
        return text
    }

    private static func readFile(_ path: String) throws(SetupError) -> String {
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
