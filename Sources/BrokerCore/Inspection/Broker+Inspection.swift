import NSQWire
import TallyBasics

/// Reads unfinished messages without delivering them. Reading changes no state, so it does not
/// affect consumers.
extension Broker {
    /// The largest number of messages in a page.
    package static let maxPageMessages = 1000
    /// The largest size of the bodies of a page, in bytes. The last message of a page may exceed it.
    package static let maxPageBytes = 1 << 20

    /// Adds the messages of one portion of a queue to a page.
    ///
    /// One call does a bounded amount of work, and reads at most one segment from the message log. The
    /// caller repeats the call until the page is full or ``MessagePage/last`` is `nil`.
    ///
    /// - Parameters:
    ///   - channel: the channel of the queue; `nil` for the topic's queue.
    ///   - limit: the number of messages of a full page.
    ///   - bodyBytes: the size at which bodies are cut.
    ///   - page: the page; empty, or as a previous call has left it.
    /// - Returns: `true` if the page is full or the queue has no more messages.
    package func addPortion(
        of topic: TopicName, _ channel: ChannelName?, _ filter: MessageFilter, limit: Int,
        bodyBytes: Int, to page: inout MessagePage, at now: Timestamp
    ) throws(InspectionError) -> Bool {
        context.setTime(now)
        let queue = try queue(topic, channel)
        guard let start = page.start else {
            page.last = nil
            return true
        }
        let limit = min(limit, Self.maxPageMessages)
        var scan = QueueScan(filter, from: start)
        var messages = page.messages
        var left = Self.maxPageBytes - messages.reduce(0) { $0 + $1.body.count }
        do throws(MessageLogError) {
            try scan.runPortion(of: queue, readsMessages: true, atMost: limit - messages.count) {
                let message = unfinished($1, of: $0, $2!, queue, bodyBytes: bodyBytes)
                messages.append(message)
                left -= message.body.count
                return left > 0
            }
        } catch {
            throw .unreadable(error)
        }
        page.messages = messages
        page.last = scan.isFinished || scan.position == 0 ? nil : MessageID(scan.position - 1)
        return scan.isFinished || messages.count >= limit || left <= 0
    }

    /// Returns one message with the start of its body.
    ///
    /// - Parameters:
    ///   - channel: the channel of the queue; `nil` for the topic's queue.
    ///   - bodyBytes: the size at which the body is cut.
    package func message(
        _ id: MessageID, of topic: TopicName, _ channel: ChannelName?, bodyBytes: Int,
        at now: Timestamp
    ) throws(InspectionError) -> UnfinishedMessage {
        context.setTime(now)
        let queue = try queue(topic, channel)
        let (segment, found) = try find(id, in: queue)
        var result: UnfinishedMessage?
        do throws(MessageLogError) {
            try queue.topic.withResident(segment) {
                guard segment.contains(found.index) else { return }
                result = unfinished(
                    found, of: segment, segment.frame(at: found.index), queue,
                    bodyBytes: min(bodyBytes, Self.maxPageBytes))
            }
        } catch {
            throw .unreadable(error)
        }
        guard let result else { throw .messageNotFound }
        return result
    }

    /// Returns the queue of a channel, or of a topic without `channel`.
    func queue(
        _ topic: TopicName, _ channel: ChannelName?
    ) throws(InspectionError) -> InspectedQueue {
        guard let topic = topics[topic] else { throw .topicNotFound }
        guard let name = channel else { return .topic(topic) }
        guard let channel = topic.channel(name) else { throw .channelNotFound }
        return .channel(channel)
    }

    /// Finds a message by its ID.
    func find(
        _ id: MessageID, in queue: InspectedQueue
    ) throws(InspectionError) -> (segment: Segment, message: FoundMessage) {
        guard let number = id.number,
            let segment = queue.segment(serialAtLeast: number >> 16),
            segment.serial == number >> 16,
            let message = queue.message(at: Int(number & 0xffff), of: segment)
        else { throw .messageNotFound }
        return (segment, message)
    }

    private func unfinished(
        _ message: FoundMessage, of segment: Segment, _ frame: Bytes, _ queue: InspectedQueue,
        bodyBytes: Int
    ) -> UnfinishedMessage {
        let body = frame.view(MessageFrame.bodyOffset..<frame.count)
        return UnfinishedMessage(
            id: MessageID(segment.serial << 16 + UInt64(message.index)),
            publishedAt: frame.bigEndian(at: MessageFrame.timestampOffset, as: Int64.self),
            attempts: message.attempts, state: state(of: message, in: queue),
            bodyBytes: body.count, body: Array(body.prefix(bodyBytes)))
    }

    private func state(
        of message: FoundMessage, in queue: InspectedQueue
    ) -> UnfinishedMessage.State {
        func timeLeft(_ deadline: Int64) -> Duration {
            .nanoseconds(max(0, deadline.subtractingSaturated(context.now.monotonic)))
        }
        switch message.state {
        case .inFlight(let slot, let deadline):
            guard case .channel(let channel) = queue, let session = channel.consumers[slot] else {
                return .ready
            }
            return .inFlight(MessageHolder(session), timeLeft: timeLeft(deadline))
        case .deferred(let deadline):
            return .deferred(
                timeLeft: timeLeft(deadline), due: context.wall(atMonotonic: deadline))
        case .ready: return .ready
        }
    }
}

extension MessagePage {
    /// The number of the first message ID of the next portion; `nil` after the last possible ID.
    fileprivate var start: UInt64? {
        guard let number = last?.number else { return 0 }
        return number == .max ? nil : number + 1
    }
}
