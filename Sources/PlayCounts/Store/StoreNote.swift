import Foundation
import TallyBasics

/// A note beside a store that tells how far the store has come, so that a later start notices a store
/// with less history: an older backup, or another store at the same path.
///
/// The note is one line in the file `STORE-history`: the ID of the store, its epoch and its number of
/// plays. It is written without a sync and at most every ten seconds, so the store may be further than
/// the note. A note that cannot be read or written is ignored.
struct StoreNote: Equatable, Sendable {
    let storeID: String
    /// The number of times that a processor had opened the store.
    let epoch: Int
    let plays: Int

    init(storeID: String, epoch: Int, plays: Int) {
        self.storeID = storeID
        self.epoch = epoch
        self.plays = plays
    }

    /// Reads the note beside a store; `nil` if there is none.
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

    /// Compares the note with the store that was just opened.
    ///
    /// - Returns: a description for users if the store lacks history; `nil` otherwise.
    func loss(in opened: StoreNote, at path: String) -> String? {
        let isOther = storeID != opened.storeID && plays > 0
        // The opening has incremented the epoch.
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
