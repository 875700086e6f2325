import Foundation
import TallyBasics

/// A file beside a store with the store's number of plays. With this file, a later start detects
/// that the store has lost history because it was replaced by an older backup or by another store.
///
/// The file `STORE-history` has one line: the ID of the store, its epoch and its number of plays.
/// It is written without a sync and at most every ten seconds, so the store may contain more plays
/// than the file states. Errors while reading or writing the file are ignored.
struct StoreHistoryFile: Equatable, Sendable {
    let storeID: String
    /// The number of times that a processor had opened the store.
    let epoch: Int
    let plays: Int

    init(storeID: String, epoch: Int, plays: Int) {
        self.storeID = storeID
        self.epoch = epoch
        self.plays = plays
    }

    /// Reads the history file beside a store; `nil` if there is none.
    init?(beside path: String) {
        guard let text = try? String(contentsOfFile: path + Self.suffix, encoding: .utf8) else {
            return nil
        }
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 3, let epoch = Int(words[1]), let plays = Int(words[2]) else {
            return nil
        }
        self.init(storeID: String(words[0]), epoch: epoch, plays: plays)
    }

    func write(beside path: String) {
        try? "\(storeID) \(epoch) \(plays)\n".write(
            toFile: path + Self.suffix, atomically: true, encoding: .utf8)
    }

    static func remove(beside path: String) { unlink(path + suffix) }

    /// Compares the history file with the store that was just opened.
    ///
    /// - Returns: a description for users if the store lacks history; `nil` otherwise.
    func loss(in opened: StoreHistoryFile, at path: String) -> String? {
        let isOther = storeID != opened.storeID && plays > 0
        // Opening the store has incremented its epoch, so the epoch of the same store is higher
        // than in the file.
        let isOlder =
            storeID == opened.storeID && (plays > opened.plays || epoch >= opened.epoch)
        guard isOther || isOlder else { return nil }
        let cause = isOther ? "another store was used at this path" : "an older backup?"
        return "store '\(path)' has lost history: it has \(counted(opened.plays, "play")), and had "
            + "\(plays) or more when it was used last (\(cause)); clients that received higher totals "
            + "will receive lower ones"
    }

    private static let suffix = "-history"
}
