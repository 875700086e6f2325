import BrokerCore
import Glibc
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// Moves the data of a real nsqd into a journal in the same folder, before a broker uses the folder.
///
/// A process that is killed at any point leaves either nsqd's files or the whole journal:
///
/// 1. The journal is written to the folder ``unfinished`` and synced. A start that finds this folder
///    removes it and begins again.
/// 2. The folder is renamed to ``finished``. From here on the journal is whole, and a start that
///    finds this folder continues with the next step.
/// 3. nsqd's files and the journal's files change places: nsqd's files are moved into the folder,
///    and the journal's files out of it.
/// 4. The folder, which now keeps nsqd's files, is renamed to ``archive``.
struct NSQDTakeover {
    private let path: String
    private let options: Journal.Options
    private let loop: Loop
    private let logger: Logger

    private static let unfinished = "nsqd-takeover.tmp"
    private static let finished = "nsqd-takeover"
    private static let archive = "nsqd-files"

    /// - Parameter path: the folder.
    init(of path: String, _ options: Journal.Options, on loop: Loop, logger: Logger) {
        self.path = path
        self.options = options
        self.loop = loop
        self.logger = logger
    }

    /// Takes over nsqd's data if the folder has any, or completes an interrupted takeover.
    ///
    /// - Throws: an error if nsqd or another broker uses the folder, or if `nsqd.dat` or the folder
    ///   cannot be read. nsqd's files are then unchanged.
    func run() throws(MessageLogError) {
        // The caller reports an unreadable folder when it opens the folder.
        let names =
            (try? FileCalls.names(in: path) {
                NSQDDataPath.isFile($0) || JournalFile.isName($0) || $0 == Self.finished
            }) ?? []
        let isInterrupted = names.contains(Self.finished)
        let hasData = names.contains(where: NSQDDataPath.isFile)
        guard isInterrupted || hasData else { return }
        guard isInterrupted || !names.contains(where: JournalFile.isName) else {
            return logger.error(
                "DATA-PATH: \(path) has a journal, and files of nsqd that are ignored (move them to another folder, and import them with tally doctor --import)"
            )
        }
        let folder = try LockedFolder(path, .exclusive)
        if !isInterrupted { try writeJournal(folder) }
        try exchangeFiles(folder)
    }

    /// Steps 1 and 2.
    private func writeJournal(_ folder: LockedFolder) throws(MessageLogError) {
        let found = try NSQDDataPath(folder)
        let target = "\(path)/\(Self.unfinished)"
        try removeUnfinished(target)
        guard mkdir(target, 0o700) == 0 else { throw FileCalls.failure("cannot create", target) }
        logger.info("DATA-PATH: taking over the data of nsqd in \(path)")
        let report = try writeJournal(of: found, to: target)
        try rename(Self.unfinished, to: Self.finished, in: folder)
        try FileCalls.sync(folder.descriptor, path)
        for remark in report.remarks { logger.warning("DATA-PATH: \(remark)") }
        for damage in report.damages { logger.error("DATA-PATH: \(damage)") }
        logger.info(
            "DATA-PATH: took over \(counted(report.topics, "topic")), \(counted(report.channels, "channel")) and \(counted(report.messages, "message")) of nsqd"
        )
    }

    /// Writes the journal, and logs the progress of a long import. The journal's files are closed
    /// when this method returns.
    private func writeJournal(
        of found: NSQDDataPath, to target: String
    ) throws(MessageLogError) -> NSQDImport.Report {
        try NSQDImportWriter(target, options, on: loop).write(found, at: loop.timestamp) {
            if $0 > 0, $0 % 1_000_000 == 0 {
                logger.info("DATA-PATH: read \($0) messages of nsqd")
            }
        }
    }

    private func removeUnfinished(_ target: String) throws(MessageLogError) {
        guard access(target, F_OK) == 0 else { return }
        for name in try FileCalls.names(in: target, where: { $0 != "." && $0 != ".." }) {
            guard unlink("\(target)/\(name)") == 0 else {
                throw FileCalls.failure("cannot remove", "\(target)/\(name)")
            }
        }
        guard rmdir(target) == 0 else { throw FileCalls.failure("cannot remove", target) }
    }

    /// Steps 3 and 4.
    private func exchangeFiles(_ folder: LockedFolder) throws(MessageLogError) {
        let finishedFolder = "\(path)/\(Self.finished)"
        let journal = try FileCalls.names(in: finishedFolder, where: JournalFile.isName)
        for name in try folder.names(where: NSQDDataPath.isFile) {
            try rename(name, to: "\(Self.finished)/\(name)", in: folder)
        }
        for name in journal { try rename("\(Self.finished)/\(name)", to: name, in: folder) }
        try FileCalls.syncFolder(finishedFolder)
        try FileCalls.sync(folder.descriptor, path)
        let name = try archiveName(folder)
        try rename(Self.finished, to: name, in: folder)
        try FileCalls.sync(folder.descriptor, path)
        logger.info("DATA-PATH: the files of nsqd are kept in \(path)/\(name)")
    }

    /// The first free name of `nsqd-files`, `nsqd-files.2` and so on.
    private func archiveName(_ folder: LockedFolder) throws(MessageLogError) -> String {
        let taken = Set(try folder.names { $0.hasPrefix(Self.archive) })
        guard taken.contains(Self.archive) else { return Self.archive }
        let number = (2...taken.count + 2).first { !taken.contains("\(Self.archive).\($0)") }
        return "\(Self.archive).\(number ?? 2)"
    }

    private func rename(
        _ name: String, to newName: String, in folder: LockedFolder
    ) throws(MessageLogError) {
        guard renameat(folder.descriptor, name, folder.descriptor, newName) == 0 else {
            throw FileCalls.failure("cannot rename \(name) to \(newName) in", path)
        }
    }
}
