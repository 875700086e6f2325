import Glibc

/// The options of the files that `nsq_to_file` writes. The defaults are those of NSQ's
/// `nsq_to_file`.
package struct FileOptions: Sendable {
    /// The folder of finished files.
    package var outputFolder = "/tmp"
    /// The folder of files in progress; empty for ``outputFolder``.
    package var workFolder = ""
    /// The format of `<DATETIME>` in file names, with the conversions of `strftime`.
    package var dateFormat = "%Y-%m-%d_%H"
    /// The format of file names.
    package var fileNameFormat = "<TOPIC>.<HOST><REV>.<DATETIME>.log"
    /// The text for `<HOST>`; empty for the short host name.
    package var hostIdentifier = ""
    /// The level of the compression with gzip, 1 to 9; `nil` for none.
    package var gzipLevel: Int?
    /// Whether a file is created only when there is a message for it.
    package var skipsEmptyFiles = false
    /// The size in bytes above which a file is rotated; 0 for no limit.
    package var rotateSize = 0
    /// The age above which a file is rotated; zero for no limit.
    package var rotateInterval = Duration.zero

    /// Creates options with the defaults.
    package init() {}

    var hasWorkFolder: Bool { !workFolder.isEmpty && workFolder != outputFolder }
    /// The folder in which files are written.
    var currentFolder: String { hasWorkFolder ? workFolder : outputFolder }

    /// `true` if several files can have the same time, so that their names need a revision number.
    var needsRevision: Bool {
        gzipLevel != nil || rotateSize > 0 || rotateInterval > .zero || hasWorkFolder
    }

    /// `true` if messages are never appended to an existing file.
    var createsNewFiles: Bool { gzipLevel != nil || rotateInterval > .zero }
}

/// The reason why messages cannot be written to a file.
package struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence with the path and the cause.
    package let description: String

    init(_ what: String, _ path: String, errno code: Int32) {
        description = "\(what) \(path): \(String(cString: strerror(code)))"
    }
}
