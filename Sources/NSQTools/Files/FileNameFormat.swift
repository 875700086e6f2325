import Glibc

/// The names of the files of a topic: a text in which `<TOPIC>`, `<HOST>`, `<PID>`, `<DATETIME>` and
/// `<REV>` are replaced.
package struct FileNameFormat: Equatable, Sendable {
    private let text: String
    private let dateFormat: String

    /// The reason why a format cannot be used.
    package struct MissingRevision: Error, CustomStringConvertible {
        package var description: String {
            "missing <REV> in --filename-format when gzip, rotation, or work dir enabled"
        }
    }

    /// Replaces the parts that do not change.
    ///
    /// - Parameters:
    ///   - options: the options of the files.
    ///   - topic: the name of the topic.
    ///   - hostname: the name of the host, with its domain.
    ///   - processID: the number of the process.
    /// - Throws: ``MissingRevision`` if files need a revision and the format has none.
    package init(
        _ options: FileOptions, topic: String, hostname: String, processID: Int
    ) throws(MissingRevision) {
        let shortHost = String(hostname.prefix { $0 != "." })
        let identifier =
            options.hostIdentifier.isEmpty
            ? shortHost
            : options.hostIdentifier.replacing("<SHORT_HOST>", with: shortHost)
                .replacing("<HOSTNAME>", with: hostname)
        var text = options.fileNameFormat
        if options.needsRevision {
            guard text.contains("<REV>") else { throw MissingRevision() }
        } else {
            text = text.replacing("<REV>", with: "")
        }
        text = text.replacing("<TOPIC>", with: topic).replacing("<HOST>", with: identifier)
            .replacing("<PID>", with: "\(processID)")
        if options.gzipLevel != nil, !text.hasSuffix(".gz") { text += ".gz" }
        self.text = text
        dateFormat = options.dateFormat
    }

    /// Returns the name at a time, still with `<REV>`.
    ///
    /// - Parameter seconds: the time since 1970.
    package func name(at seconds: Int) -> String {
        text.replacing("<DATETIME>", with: Self.date(dateFormat, at: seconds))
    }

    /// Replaces `<REV>` by a number: `-000001`.
    package static func name(_ name: String, revision: Int) -> String {
        let digits = String(revision)
        let padding = String(repeating: "0", count: max(0, 6 - digits.count))
        return name.replacing("<REV>", with: "-\(padding)\(digits)")
    }

    /// The conversions of nsq_to_file; another character after `%` stays as it is.
    private static let conversions = Set("BbmAadHIMSYypZz")

    /// Formats a local time as nsq_to_file does.
    static func date(_ format: String, at seconds: Int) -> String {
        var time = time_t(seconds)
        var parts = tm()
        localtime_r(&time, &parts)
        var text = ""
        var rest = format[...]
        while let character = rest.popFirst() {
            guard character == "%", let conversion = rest.first,
                conversion == "%" || conversions.contains(conversion)
            else {
                text.append(character)
                continue
            }
            rest.removeFirst()
            text += conversion == "%" ? "%" : converted(conversion, &parts)
        }
        return text
    }

    private static func converted(_ conversion: Character, _ parts: inout tm) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            let count = strftime(buffer.baseAddress!, buffer.count, "%\(conversion)", &parts)
            return String(
                decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }
}
