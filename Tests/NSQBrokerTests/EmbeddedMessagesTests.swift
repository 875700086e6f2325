import NSQBroker
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `The messages of an embedded broker` {
    @Test func `are read and changed without a consumer`() async throws {
        let broker = try await EmbeddedBroker.start()
        try await broker.createChannel("count", of: "plays")
        let producer = try RawClient(to: SocketAddress(parsing: broker.tcpAddress))
        for body in ["one", "two", "three"] { producer.ask("PUB plays", body: body) }
        let first = try await broker.messages(in: "plays", channel: "count", limit: 2)
        #expect(first.messages.map { String(decoding: $0.body, as: UTF8.self) } == ["one", "two"])
        #expect(first.messages.map(\.state) == [.ready, .ready])
        let rest = try await broker.messages(in: "plays", channel: "count", after: first.next)
        #expect(rest.messages.map(\.bodyBytes) == [5])
        #expect(rest.next == nil)
        let message = first.messages[0]
        try await broker.change(
            message.id, attempts: 0, in: "plays", channel: "count", .move(to: "later"))
        #expect(try await broker.messages(in: "later", channel: nil).messages.count == 1)
        await #expect {
            try await broker.change(
                message.id, attempts: 0, in: "plays", channel: "count", .delete)
        } throws: { ($0 as? EmbeddedBroker.AdministrationError)?.code == .messageNotFound }
        var filter = EmbeddedBroker.MessageFilter()
        filter.text = Array("t".utf8)
        let count = try await broker.startBulkOperation(
            in: "plays", channel: "count", where: filter, nil)
        #expect(count.state == .finished)
        #expect(count.selectedCount == 2)
        _ = try await broker.startBulkOperation(
            in: "plays", channel: "count", where: filter, .delete)
        #expect(
            await eventually {
                await broker.bulkOperations().allSatisfy { $0.state == .finished }
            })
        #expect(try await broker.messages(in: "plays", channel: "count").messages.isEmpty)
        try await broker.cancelBulkOperation(count.number)
        await broker.stop()
        await #expect(throws: EmbeddedBroker.AdministrationError.self) {
            try await broker.messages(in: "plays", channel: "count")
        }
    }

    @Test func `are not read for invalid arguments`() async throws {
        let broker = try await EmbeddedBroker.start()
        try await broker.createTopic("plays")
        func code(
            topic: String = "plays", channel: String? = nil, after: String? = nil, limit: Int = 1,
            bodyBytes: Int = 1
        ) async -> EmbeddedBroker.AdministrationError.Code? {
            do {
                _ = try await broker.messages(
                    in: topic, channel: channel, after: after, limit: limit, bodyBytes: bodyBytes)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(await code() == nil)
        #expect(await code(topic: "#") == .invalidName)
        #expect(await code(channel: "#") == .invalidName)
        #expect(await code(topic: "other") == .topicNotFound)
        #expect(await code(channel: "other") == .channelNotFound)
        #expect(await code(after: "12") == .invalidValue)
        #expect(await code(limit: 0) == .invalidValue)
        #expect(await code(limit: 1001) == .invalidValue)
        #expect(await code(bodyBytes: -1) == .invalidValue)
        await broker.stop()
    }
}
