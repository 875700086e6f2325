/// Appends records to the message log. Without a log, or while the log is replayed, the writer does
/// nothing.
final class MessageLogWriter {
    let messageLog: (any MessageLog)?
    /// `true` while the broker replays the log. Replayed records are not appended again.
    private(set) var isReplaying = false
    /// `true` if records were appended, or a flush was requested, since the last flush.
    private(set) var needsFlush = false

    init(_ messageLog: (any MessageLog)?) { self.messageLog = messageLog }

    /// `true` if there is a log and it is not being replayed.
    var isEnabled: Bool { messageLog != nil && !isReplaying }

    func beginReplay() { isReplaying = true }

    func endReplay() { isReplaying = false }

    func append(_ record: LogRecord) {
        guard let messageLog, !isReplaying else { return }
        messageLog.append(record)
        needsFlush = true
    }

    /// Requests a flush even if no record is appended with ``append(_:)``, for example because only
    /// messages were appended.
    func requestFlush() { needsFlush = true }

    /// Resets ``needsFlush`` after a successful flush.
    func didFlush() { needsFlush = false }
}
