import Foundation
import Logging
import NSQAdmin
import NSQClient
import NSQTesting
import TestKit
import TestTraits
import Testing

/// The messages of a channel on the pages of nsqadmin.
@Suite(.blocking, .timeLimit(.minutes(15)), .ours("it has no such pages"))
struct `The messages on the pages of nsqadmin` {
    /// The HTTP address of the first node, once the page has polled it.
    private func node(_ admin: AdminProbe) throws -> String {
        #expect(
            admin.waits(for: "/api/live/nodes") {
                ($0["nodes"] as? [[String: Any]])?.first?["reachable"] as? Bool == true
            })
        let nodes = try admin.json("/api/live/nodes")["nodes"] as? [[String: Any]]
        return try #require(nodes?.first?["node"] as? String)
    }

    @Test func `are shown and changed`() async throws {
        try await withAdmin(brokers: 1) { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let producer = try cluster.producer()
            for body in ["one", "two", "three"] { try await producer.publish(body, to: "plays") }
            await producer.stop()
            let node = try node(admin)
            let place = "?node=\(node)&topic=plays&channel=counts"
            func messages(_ arguments: String = "") throws -> [[String: Any]] {
                let page = try admin.json("/api/live/messages\(place)\(arguments)")
                return page["messages"] as? [[String: Any]] ?? []
            }
            #expect(try messages().map { $0["body"] as? String } == ["one", "two", "three"])
            #expect(try messages("&contains=w&limit=1").count == 1)
            let id = try #require(messages()[0]["id"] as? String)
            let deletion = try admin.send(
                "POST", "/api/live/messages/delete\(place)&id=\(id)&attempts=0")
            #expect(deletion.status == 200)
            #expect(deletion.body == "{}")
            let again = try admin.send(
                "POST", "/api/live/messages/delete\(place)&id=\(id)&attempts=0")
            #expect(again.status == 404)
            #expect(again.body.contains("no such message"))
            let preview = try admin.send(
                "POST", "/api/live/messages/all/delete\(place)&preview=true")
            #expect(try preview.json()["selected"] as? Int == 2)
            let move = try admin.send("POST", "/api/live/messages/all/move\(place)&to=later")
            let number = try #require(try move.json()["operation"] as? Int)
            #expect(
                admin.waits(for: "/api/live/messages/operations?node=\(node)") {
                    ($0["operations"] as? [[String: Any]])?.contains {
                        $0["operation"] as? Int == number && $0["state"] as? String == "finished"
                    } == true
                })
            #expect(try messages().isEmpty)
            let cancelled = try admin.send(
                "POST", "/api/live/messages/cancel\(place)&operation=\(number)")
            #expect(cancelled.status == 200)
        }
    }

    @Test func `are listed, retried and discarded if they have failed`() async throws {
        try await withAdmin(brokers: 1) { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let node = try node(admin)
            let limit = "/channel/max-attempts?topic=plays&channel=counts&attempts=1"
            #expect(try ReceivedResponse(to: "POST", limit, at: node).status == 200)
            let producer = try cluster.producer()
            for body in ["one", "two", "three"] { try await producer.publish(body, to: "plays") }
            await producer.stop()
            let consumer = try cluster.consumer(topic: "plays", channel: "counts")
            let requeuing = Task {
                while let message = try await consumer.next() { message.requeue() }
            }
            let place = "?node=\(node)&topic=plays&channel=counts"
            let failed = "/api/live/messages/failed"
            #expect(
                admin.waits(for: failed + place) {
                    ($0["messages"] as? [[String: Any]])?.count == 3
                })
            await consumer.stop()
            try await requeuing.value
            let messages = try admin.json(failed + place)["messages"] as? [[String: Any]] ?? []
            let id = try #require(messages.first?["id"] as? String)
            #expect(
                try admin.send("POST", "\(failed)/retry\(place)&id=\(id)").json()["messages"]
                    as? Int
                    == 1)
            #expect(
                try admin.send("POST", "\(failed)/discard\(place)").json()["messages"] as? Int == 2)
            #expect(try admin.send("POST", "\(failed)/delete\(place)").status == 404)
            #expect(try admin.send("POST", "/api/live/messages/retry\(place)").status == 404)
        }
    }

    @Test func `are not shown for unknown nodes and wrong arguments`() async throws {
        try await withAdmin(brokers: 1) { admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let node = try node(admin)
            let queue = "topic=plays&channel=counts"
            for target in [
                "?\(queue)", "?node=127.0.0.1:1&\(queue)", "?node=\(node)&\(queue)&limit=0",
            ] {
                #expect(try admin.get("/api/live/messages\(target)").status == 400)
            }
            #expect(
                try admin.get("/api/live/messages?node=\(node)&topic=x&channel=y").status == 404)
            #expect(
                try admin.send("POST", "/api/live/messages/lose?node=\(node)&\(queue)").status
                    == 404)
        }
    }

    @Test func `are not shown for a real nsqd, which is named as the reason`() async throws {
        let listener = try BlockingListener()
        Thread.detachNewThread {
            guard let client = try? listener.accept() else { return }
            _ = client.receiveRequest()
            client.respond("{\"message\":\"NOT_FOUND\"}", status: 404)
        }
        var options = AdminOptions()
        options.nsqds = [listener.address]
        let api = try AdminAPI(
            options, logger: Logger(label: "nsqadmin") { _ in SwiftLogNoOpLogHandler() })
        await #expect {
            _ = try await api.readMessages(at: listener.address, "/channel/messages", [])
        } throws: { error in
            let failure = error as? AdminAPI.MessagesFailure
            return failure?.status == 404 && failure?.text.contains("only tally's nsqd can") == true
        }
        await api.stop()
        listener.stop()
    }

    @Test func `are changed by admins only`() async throws {
        try await withAdmin(brokers: 1, { $0.adminUsers = ["ann"] }) {
            admin, cluster async throws in
            try await cluster.createChannel("counts", of: "plays")
            let place = "?node=\(try node(admin))&topic=plays&channel=counts"
            let change = "/api/live/messages/all/delete\(place)"
            #expect(try admin.send("POST", change).status == 403)
            #expect(
                try admin.send("POST", change, headers: "X-Forwarded-User: ann\r\n").status == 200)
            #expect(try admin.get("/api/live/messages\(place)").status == 200)
        }
    }
}
