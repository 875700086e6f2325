import BrokerCore
import NSQWire
import TallyBasics

extension TestBroker {
    /// A page of messages. Each portion is a loop iteration of its own.
    func page(
        of channel: ChannelName? = .count, _ topic: TopicName = .plays, after: MessageID? = nil,
        limit: Int = 100, bodyBytes: Int = 1000,
        filter configure: (inout MessageFilter) -> Void = { _ in }
    ) throws(InspectionError) -> MessagePage {
        var filter = MessageFilter()
        configure(&filter)
        var page = MessagePage(after: after)
        while try !core.addPortion(
            of: topic, channel, filter, limit: limit, bodyBytes: bodyBytes, to: &page, at: now)
        {
            iteration {}
        }
        return page
    }

    /// The bodies of a page.
    func bodies(
        of channel: ChannelName? = .count, _ topic: TopicName = .plays,
        filter configure: (inout MessageFilter) -> Void = { _ in }
    ) throws(InspectionError) -> [String] {
        try page(of: channel, topic, filter: configure).messages.map(\.text)
    }

    /// The message with this body in the channel.
    func message(
        _ body: String, in channel: ChannelName = .count
    ) throws(InspectionError) -> UnfinishedMessage {
        guard let found = try page(of: channel).messages.first(where: { $0.text == body }) else {
            throw .messageNotFound
        }
        return found
    }

    /// Changes the message with this body.
    func perform(
        _ action: MessageAction, on body: String, of channel: ChannelName = .count
    ) throws(InspectionError) {
        try perform(action, on: message(body, in: channel), of: channel)
    }

    /// Changes a message, as a caller that has seen it.
    func perform(
        _ action: MessageAction, on message: UnfinishedMessage, of channel: ChannelName = .count
    ) throws(InspectionError) {
        var failure: InspectionError?
        iteration {
            do throws(InspectionError) {
                try core.perform(
                    action, on: message.id, attempts: message.attempts, of: .plays, channel, at: now
                ) { _ in }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

extension UnfinishedMessage {
    var text: String { String(decoding: body, as: UTF8.self) }
}
