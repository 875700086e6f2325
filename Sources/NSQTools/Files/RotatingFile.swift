import Glibc
import Logging
import TallyBasics

/// The files of one topic: writes to the open file, and decides when to begin another. Time is an
/// argument.
///
/// A file is rotated in three cases: its name differs from the name for the current time, it is
/// older than the rotation interval, or it is larger than the rotation size. If there is a work
/// folder, a finished file is moved to the output folder. An existing file is never replaced.
package final class RotatingFile {
    private let options: FileOptions
    private let format: FileNameFormat
    private let logger: Logger
    /// The topic and the channel, for the log.
    private let label: String

    private var file: OutputFile?
    /// The name of the open file, or of the last one, in which `<REV>` is not replaced.
    private var name = ""
    private var revision = 0
    private var openedAt = Timestamp(monotonic: 0, wall: 0)

    /// Creates the object. It opens no file until the first message.
    ///
    /// - Parameter label: the topic and the channel, which start each line of the log.
    package init(
        _ options: FileOptions, _ format: FileNameFormat, label: String, logger: Logger
    ) {
        self.options = options
        self.format = format
        self.label = label
        self.logger = logger
    }

    /// Writes a message. If the open file has to be rotated, writes the message to a new file.
    ///
    /// - Returns: `true` if the file was rotated. Then all messages of the old file are durable.
    package func append(
        _ body: UnsafeRawBufferPointer, at now: Timestamp
    ) throws(FileError) -> Bool {
        let rotates = needsRotation(at: now)
        if rotates { try openNext(at: now) }
        try file!.append(body)
        return rotates
    }

    /// Rotates the file if rotation is due. Call this method at each sync interval: a topic without
    /// messages also gets a file for each period, unless empty files are skipped.
    package func tick(at now: Timestamp) throws(FileError) {
        guard needsRotation(at: now) else { return }
        if options.skipsEmptyFiles { try close() } else { try openNext(at: now) }
    }

    /// Makes all messages so far durable.
    package func sync() throws(FileError) { try file?.sync() }

    /// Finishes the open file, if there is one.
    package func close() throws(FileError) {
        guard let file else { return }
        try file.sync()
        if options.hasWorkFolder { try move(file.path) }
        self.file = nil
    }

    // MARK: Rotation

    private func needsRotation(at now: Timestamp) -> Bool {
        guard let file else { return true }
        let newName = format.name(at: Int(now.wall / 1_000_000_000))
        if newName != name {
            logger.info("[\(label)] new filename \(newName), rotating...")
            return true
        }
        let age = Duration.nanoseconds(now.monotonic - openedAt.monotonic)
        if options.rotateInterval > .zero, age > options.rotateInterval {
            let text = GoText.duration(nanoseconds: age.nanoseconds)
            logger.info("[\(label)] \(text) since last open, rotating...")
            return true
        }
        return isTooLarge(file)
    }

    private func isTooLarge(_ file: OutputFile) -> Bool {
        guard options.rotateSize > 0, file.byteCount > options.rotateSize else { return false }
        logger.info(
            """
            [\(label)] \(file.path) currently \(file.byteCount) bytes (> \(options.rotateSize)), \
            rotating...
            """)
        return true
    }

    private func openNext(at now: Timestamp) throws(FileError) {
        try close()
        let newName = format.name(at: Int(now.wall / 1_000_000_000))
        revision = newName == name ? revision + 1 : 0
        name = newName
        openedAt = now
        let path = "\(options.currentFolder)/\(newName)"
        try Folders.create(Folders.parent(of: path))
        while true {
            if let opened = try open(path, revision: revision), !isTooLarge(opened) {
                file = opened
                return
            }
            revision += 1
        }
    }

    /// - Returns: `nil` if a file with the revision exists already.
    private func open(_ path: String, revision: Int) throws(FileError) -> OutputFile? {
        let path = FileNameFormat.name(path, revision: revision)
        if options.hasWorkFolder {
            let finished = FileNameFormat.name(
                "\(options.outputFolder)/\(name)", revision: revision)
            try Folders.create(Folders.parent(of: finished))
            guard access(finished, F_OK) != 0 else {
                logger.warning("[\(label)] output file already exists: \(finished)")
                return nil
            }
        }
        let file = try OutputFile(
            path, isNew: options.createsNewFiles, gzipLevel: options.gzipLevel)
        if file == nil {
            logger.warning("[\(label)] working file already exists: \(path)")
        } else {
            logger.info("[\(label)] opening \(path)")
        }
        return file
    }

    // MARK: Finished files

    /// Moves a file from the work folder to the output folder. If a file with this name exists
    /// there, the moved file gets the next free revision number.
    private func move(_ path: String) throws(FileError) {
        var target = FileNameFormat.name("\(options.outputFolder)/\(name)", revision: revision)
        logger.info("[\(label)] moving finished file \(path) to \(target)")
        var number = revision
        while link(path, target) != 0 {
            guard errno == EEXIST else {
                throw FileError("unable to move \(path) to", target, errno: errno)
            }
            logger.warning("[\(label)] destination file already exists: \(target)")
            number += 1
            target = FileNameFormat.name("\(options.outputFolder)/\(name)", revision: number)
        }
        // The link must be durable before the name in the work folder is removed.
        try Folders.sync(Folders.parent(of: target))
        guard unlink(path) == 0 else { throw FileError("cannot remove", path, errno: errno) }
    }
}
