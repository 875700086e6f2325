import BrokerCore
import NSQWire
import TallyBasics
import UVLoop

/// Reads one page of messages from a broker in portions, each in a loop iteration of its own.
struct MessagePageReader {
    let topic: TopicName
    let channel: ChannelName?
    let filter: MessageFilter
    let limit: Int
    /// The size at which bodies are cut.
    let bodyBytes: Int

    /// The number of portions after which the page ends, even if it is not full.
    private static let maxPortions = 64
    /// The time after which no further portion is read.
    private static let maxDuration = Duration.milliseconds(40)

    /// Reads the first portion, and schedules the others.
    ///
    /// - Parameters:
    ///   - page: the page before the first portion.
    ///   - done: runs once with the page. Its ``MessagePage/last`` is the position after it, also if the
    ///     page is not full.
    /// - Throws: the error of the first portion. `done` does not run then.
    func read(
        _ page: inout MessagePage, from broker: Broker, on loop: Loop,
        _ done: @escaping (Result<MessagePage, InspectionError>) -> Void
    ) throws(InspectionError) {
        let isOver = try readPortion(of: &page, from: broker, at: loop.timestamp)
        if isOver { return done(.success(page)) }
        let end = loop.nowNanoseconds + Self.maxDuration.nanoseconds
        readLater(page, portionsLeft: Self.maxPortions - 1, until: end, broker, loop, done)
    }

    private func readLater(
        _ page: MessagePage, portionsLeft: Int, until end: Int64, _ broker: Broker, _ loop: Loop,
        _ done: @escaping (Result<MessagePage, InspectionError>) -> Void
    ) {
        loop.runInNextIteration {
            var page = page
            do throws(InspectionError) {
                let isOver = try readPortion(of: &page, from: broker, at: loop.timestamp)
                guard !isOver, portionsLeft > 1, loop.nowNanoseconds < end else {
                    return done(.success(page))
                }
            } catch {
                return done(.failure(error))
            }
            readLater(page, portionsLeft: portionsLeft - 1, until: end, broker, loop, done)
        }
    }

    /// - Returns: `true` if the page is full or the queue has no more messages.
    private func readPortion(
        of page: inout MessagePage, from broker: Broker, at now: Timestamp
    ) throws(InspectionError) -> Bool {
        try broker.addPortion(
            of: topic, channel, filter, limit: limit, bodyBytes: bodyBytes, to: &page, at: now)
    }
}
