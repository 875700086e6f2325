import TallyBasics

/// Flushes of the message log, and the publish responses that depend on them.
extension Broker {
    /// Writes all records since the last flush to the message log. If the flush fails, the
    /// unwritten messages are removed as if they had not been published, and their publishers
    /// receive an error. If the flush succeeds, the publishers receive their responses now, or
    /// after the sync if ``MessageLog/respondsAfterSync`` is `true`.
    ///
    /// - Returns: `false` if the flush has failed.
    @discardableResult
    func flushLog() -> Bool {
        let log = context.log
        guard log.isEnabled, let messageLog = log.messageLog else { return true }
        for channel in context.pending.drainRecordingChannels() { channel.drainRecords() }
        let topics = context.pending.drainUnflushedTopics()
        for topic in topics { topic.appendUnflushed() }
        guard log.needsFlush else { return true }
        do throws(MessageLogError) {
            let needsSync = pendingPublishes.needsSync
            let number = try messageLog.flush()
            log.didFlush()
            for topic in topics { topic.didFlush() }
            let isSynced = pendingPublishes.didFlush(number)
            if isSynced || !messageLog.respondsAfterSync {
                pendingPublishes.complete(upTo: number, isSynced: isSynced, nil)
            }
            if needsSync, !isSynced { messageLog.sync() }
            return true
        } catch {
            for topic in topics { topic.rollBack() }
            pendingPublishes.refuse(error)
            return false
        }
    }

    /// Flushes the message log if it does not contain all messages of the topic.
    func flushLog(ifUnflushed topic: Topic) {
        if topic.isUnflushed { flushLog() }
    }

    /// Completes the publishes of a synced flush.
    ///
    /// - Parameter number: the number of the last flush whose records are durable.
    package func didSync(upTo number: UInt64, at now: Timestamp) {
        context.setTime(now)
        pendingPublishes.complete(upTo: number, isSynced: true, nil)
    }

    /// Completes the publishes of a flush whose sync has failed. The publishers receive the error,
    /// because the records may be lost.
    ///
    /// - Parameter number: the number of the last flush whose sync has failed.
    package func didFailSync(upTo number: UInt64, _ error: MessageLogError, at now: Timestamp) {
        context.setTime(now)
        pendingPublishes.complete(upTo: number, isSynced: true, error)
    }

    /// Calls `completion` once all changes made before this call are as durable as an acknowledged
    /// publish.
    ///
    /// `completion` runs during ``endIteration(at:)`` or ``didSync(upTo:at:)``, and must not call
    /// the broker. The argument of `completion` is the error of a failed flush or sync.
    package func whenDurable(_ completion: @escaping (MessageLogError?) -> Void) {
        afterFlush(isSynced: false, completion)
    }

    /// Calls `completion` once all changes made before this call are synced, as ``whenDurable(_:)`` does.
    ///
    /// A message that is moved to another topic is finished only then. Otherwise a power failure could
    /// keep the record of the finish, and lose the copy, which was written before it and not synced
    /// either. A message whose publish was synced long ago would be lost.
    func whenSynced(_ completion: @escaping (MessageLogError?) -> Void) {
        afterFlush(isSynced: true, completion)
    }

    private func afterFlush(
        isSynced: Bool, _ completion: @escaping (MessageLogError?) -> Void
    ) {
        guard context.log.messageLog != nil else { return completion(nil) }
        context.log.requestFlush()
        pendingPublishes.add(isSynced: isSynced, completion)
    }

    /// Relocates one segment to the end of the message log if this releases disk space.
    ///
    /// - Parameter neededBytes: an estimate of the size of all durable messages that are still needed.
    /// - Returns: `true` if a segment was relocated. The caller then tries the next segment soon.
    func relocateSegment(neededBytes: Int) -> Bool {
        guard let messageLog = context.log.messageLog,
            let serial = messageLog.segmentToRelocate(neededBytes: neededBytes), flushLog()
        else { return false }
        for topic in topics.values {
            guard let segment = topic.segments[serial: serial] else { continue }
            let wasResident = segment.isResident
            topic.relocate(segment)
            defer { if !wasResident { topic.pageOut(segment) } }
            return flushLog()
        }
        return false
    }
}
