import Glibc

/// A template for the file names of a topic, in which `<TOPIC>`, `<HOST>`, `<PID>`, `<DATETIME>`
/// and `<REV>` are replaced.
package struct FileNameFormat: Equatable, Sendable {
    private let text: String
    private let dateFormat: String

    /// The error for a template that needs `<REV>` and does not contain it.
    package struct MissingRevision: Error, CustomStringConvertible {
        package var description: String {
            "missing <REV> in --filename-format when gzip, rotation, or work dir enabled"
        }
    }

    /// Replaces the parts of the template that are the same for all files of the topic.
    ///
    /// - Parameters:
    ///   - options: the options of the files.
    ///   - topic: the name of the topic.
    ///   - hostname: the name of the host, with its domain.
    ///   - processID: the number of the process.
    /// - Throws: ``MissingRevision`` if files need a revision number and the template has no
    ///   `<REV>`.
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

    /// Returns the name for a time. `<REV>` is not replaced yet.
    ///
    /// - Parameter seconds: the time since 1970.
    package func name(at seconds: Int) -> String {
        text.replacing("<DATETIME>", with: Self.date(dateFormat, at: seconds))
    }

    /// Replaces `<REV>` by a dash and a number with at least six digits: `-000001`.
    package static func name(_ name: String, revision: Int) -> String {
        let digits = String(revision)
        let padding = String(repeating: "0", count: max(0, 6 - digits.count))
        return name.replacing("<REV>", with: "-\(padding)\(digits)")
    }

    /// The `%` conversions that nsq_to_file supports. `%` with any other character is not changed.
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
