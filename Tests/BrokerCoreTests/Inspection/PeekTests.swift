import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `Peeking at a queue` {
    let broker = TestBroker()

    /// A channel with one message of each state, and two ready ones.
    private func mixedChannel() -> TestClient {
        let consumer = broker.consumer(ready: 2) {
            $0.clientID = "worker"
            $0.messageTimeout = 10_000
        }
        broker.client().multiPublish(["one", "two", "three", "four"])
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        consumer.requeue(held[1], after: .seconds(60))
        return consumer
    }

    @Test func `shows the state of each message in the order of the IDs`() throws {
        let consumer = mixedChannel()
        broker.passUnnoticed(.seconds(1))
        let page = try broker.page()
        #expect(page.last == nil)
        #expect(page.messages.map(\.text) == ["one", "two", "three", "four"])
        #expect(page.messages.map(\.attempts) == [1, 1, 0, 0])
        #expect(page.messages.map(\.id) == page.messages.map(\.id).sorted { $0.text < $1.text })
        guard case .inFlight(let holder, let timeLeft) = page.messages[0].state else {
            Issue.record("\(page.messages[0].state)")
            return
        }
        #expect(holder.clientID == "worker")
        #expect(holder.address == "10.0.0.1:5000")
        #expect(timeLeft == .seconds(9))
        let due = broker.now.wall + 59_000_000_000
        #expect(page.messages[1].state == .deferred(timeLeft: .seconds(59), due: due))
        #expect(page.messages[2].state == .ready)
        #expect(page.messages[3].publishedAt == Timestamp.start.wall)
        #expect(consumer.take() == [])
    }

    @Test func `changes nothing for consumers`() throws {
        let consumer = mixedChannel()
        let before = broker.statistics
        _ = try broker.page()
        #expect(broker.statistics == before)
        consumer.send(.ready(count: 10))
        #expect(consumer.takeMessages().map(\.attempts) == [1, 1])
    }

    @Test func `selects by state, attempts, text and age`() throws {
        _ = mixedChannel()
        broker.pass(.seconds(5))
        broker.client().publish("fifth, and late")
        #expect(try broker.bodies { $0.states = [.ready] } == ["three", "four", "fifth, and late"])
        #expect(try broker.bodies { $0.states = [.inFlight] } == ["one"])
        #expect(try broker.bodies { $0.states = [.deferred] } == ["two"])
        #expect(try broker.bodies { $0.minAttempts = 1 } == ["one", "two"])
        #expect(try broker.bodies { $0.minAttempts = 2 } == [])
        #expect(try broker.bodies { $0.text = Array("o".utf8) } == ["one", "two", "four"])
        #expect(try broker.bodies { $0.text = Array("and late".utf8) } == ["fifth, and late"])
        #expect(try broker.bodies { $0.text = Array("One".utf8) } == [])
        let now = broker.now.wall
        #expect(
            try broker.bodies { $0.publishedBefore = now - 1_000_000_000 }
                == ["one", "two", "three", "four"])
        #expect(try broker.bodies { $0.publishedBefore = now - 60_000_000_000 } == [])
    }

    @Test func `continues after the last ID of a page`() throws {
        _ = broker.consumer()
        broker.client().multiPublish((0..<25).map { "body \($0)" })
        var bodies: [String] = []
        var last: MessageID?
        var pageCount = 0
        repeat {
            let page = try broker.page(after: last, limit: 10)
            bodies += page.messages.map(\.text)
            last = page.last
            pageCount += 1
        } while last != nil
        #expect(bodies == (0..<25).map { "body \($0)" })
        #expect(pageCount == 3)
        #expect(try broker.page(after: MessageID(.max)) == MessagePage())
    }

    @Test func `shows messages that are published between two pages`() throws {
        _ = broker.consumer()
        broker.client().publish("one", "two")
        let first = try broker.page(limit: 2)
        broker.client().publish("three")
        #expect(try broker.page(after: first.last).messages.map(\.text) == ["three"])
    }

    @Test func `cuts long bodies and tells their size`() throws {
        _ = broker.consumer()
        broker.client().publish("a long body")
        let message = try broker.page(bodyBytes: 6).messages[0]
        #expect(message.text == "a long")
        #expect(message.bodyBytes == 11)
        #expect(message.isCut)
        let whole = try broker.core.message(
            message.id, of: .plays, .count, bodyBytes: 11, at: broker.now)
        #expect(whole.text == "a long body")
        #expect(!whole.isCut)
    }

    @Test func `ends a page whose bodies are large`() throws {
        _ = broker.consumer()
        broker.client().multiPublish((0..<8).map { _ in String(repeating: "x", count: 300_000) })
        let page = try broker.page(bodyBytes: 300_000)
        #expect(page.messages.count == 4)
        #expect(page.last == page.messages[3].id)
        #expect(try broker.page(after: page.last, bodyBytes: 300_000).messages.count == 4)
    }

    @Test func `skips finished and discarded messages`() throws {
        let consumer = broker.consumer(ready: 100)
        broker.client().multiPublish((0..<100).map { "body \($0)" })
        let held = consumer.takeMessages()
        consumer.finish(held.enumerated().filter { $0.offset % 10 != 0 }.map(\.element))
        #expect(try broker.bodies() == (0..<10).map { "body \($0 * 10)" })
        // A compacted segment contains few messages.
        broker.client().multiPublish((0..<3000).map { _ in String(repeating: "x", count: 1000) })
        broker.pass(.seconds(20))
        #expect(
            try broker.page(limit: 10).messages.map(\.text) == (0..<10).map { "body \($0 * 10)" })
        broker.control { $0.emptyChannel(.count, of: .plays, at: $1) }
        #expect(try broker.bodies() == [])
    }

    @Test func `shows only what a channel has received since its creation`() throws {
        _ = broker.consumer()
        broker.client().publish("early")
        _ = broker.consumer(of: .archive)
        broker.client().publish("late")
        #expect(try broker.bodies(of: .archive) == ["late"])
        #expect(try broker.bodies() == ["early", "late"])
    }

    @Test func `shows a topic's messages that have no channel yet`() throws {
        let client = broker.client()
        client.publish("one")
        client.publish("two", after: .seconds(10))
        client.publish("three")
        let page = try broker.page(of: nil)
        #expect(Set(page.messages.map(\.text)) == ["one", "two", "three"])
        #expect(try broker.bodies(of: nil) { $0.states = [.deferred] } == ["two"])
        #expect(try broker.bodies(of: nil) { $0.states = [.ready] } == ["one", "three"])
        let deferred = try broker.page(of: nil) { $0.states = [.deferred] }.messages[0]
        #expect(
            deferred.state
                == .deferred(timeLeft: .seconds(10), due: broker.now.wall + 10_000_000_000))
        _ = broker.consumer()
        #expect(try broker.bodies(of: nil) == [])
        #expect(Set(try broker.bodies()) == ["one", "two", "three"])
    }

    @Test func `reports what does not exist`() throws {
        #expect(throws: InspectionError.topicNotFound) { try broker.page() }
        _ = broker.consumer()
        #expect(throws: InspectionError.channelNotFound) { try broker.page(of: .archive) }
        for id in [MessageID(0), MessageID(.max), MessageID(UInt64(1) << 40)] {
            #expect(throws: InspectionError.messageNotFound) {
                try broker.core.message(id, of: .plays, .count, bodyBytes: 10, at: broker.now)
            }
        }
    }

    @Test func `does a bounded amount of work in one portion`() throws {
        let consumer = broker.consumer(ready: 2500)
        // Finished messages take steps as well.
        for _ in 0..<16 { broker.client().multiPublish((0..<2500).map { "done \($0)" }) }
        while case let held = consumer.takeMessages(), !held.isEmpty { consumer.finish(held) }
        consumer.send(.ready(count: 0))
        broker.client().publish("needle")
        for _ in 0..<2 {
            broker.client().multiPublish(
                (0..<15).map { _ in String(repeating: "x", count: 200_000) })
        }
        broker.client().publish("needle in hay")
        var filter = MessageFilter()
        filter.text = Array("needle".utf8)
        var page = MessagePage()
        var portionCount = 1
        while try !broker.core.addPortion(
            of: .plays, .count, filter, limit: 10, bodyBytes: 100, to: &page, at: broker.now)
        {
            portionCount += 1
        }
        #expect(page.messages.map(\.text) == ["needle", "needle in hay"])
        // 6 MB of bodies take at least three portions of 2 MiB.
        #expect(portionCount >= 3)
    }
}
