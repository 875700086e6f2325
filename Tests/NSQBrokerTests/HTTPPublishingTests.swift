import BrokerCore
import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing

/// NSQ documentation, “nsqd”, HTTP API: `/pub` and `/mpub`.
@Suite(.blocking) struct `Publishing over HTTP` {
    private static func failure(_ status: Int, _ code: String) -> String {
        "\(status) {\"message\":\"\(code)\"}"
    }

    @Test func `delivers the message unchanged`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB \(topic) c")
        consumer.tell("RDY 1")
        let response = try nsqd.post("/pub?topic=\(topic)", "hello\r\n")
        #expect(response.status == 200)
        #expect(response.body == "OK")
        #expect(response.headers["x-nsq-content-type"] == "nsq; version=1.0")
        #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(consumer.message().body == "hello\r\n")
        await nsqd.stop()
    }

    @Test func `delays a deferred message`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        _ = try nsqd.post("/topic/create?topic=\(topic)")
        _ = try nsqd.post("/channel/create?topic=\(topic)&channel=c")
        #expect(try nsqd.post("/pub?topic=\(topic)&defer=3600000", "later").body == "OK")
        #expect(try nsqd.post("/pub?topic=\(topic)&defer=0", "now").body == "OK")
        let channel = try nsqd.channel(topic, "c")
        if !HTTPProbe.isForeign {
            // In nsqd, the messages may not be in the channel yet, because it dispatches them with a
            // delay.
            #expect(channel?["deferred_count"] as? Int == 1)
            #expect(channel?["depth"] as? Int == 1)
        }
        await nsqd.stop()
    }

    @Test func `checks requests in nsqd's order`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let tooBig = String(repeating: "x", count: 1_048_577)
        let cases: [(target: String, body: String, failure: String)] = [
            ("/pub", tooBig, Self.failure(413, "MSG_TOO_BIG")),
            ("/pub", "", Self.failure(400, "MSG_EMPTY")),
            ("/pub?topic=%zz", "", Self.failure(400, "MSG_EMPTY")),
            ("/pub?topic=%zz", "x", Self.failure(400, "INVALID_REQUEST")),
            ("/pub?a;b", "x", Self.failure(400, "INVALID_REQUEST")),
            ("/pub", "x", Self.failure(400, "MISSING_ARG_TOPIC")),
            ("/pub?topic=", "x", Self.failure(400, "INVALID_TOPIC")),
            ("/pub?topic=a%20b&defer=x", "x", Self.failure(400, "INVALID_TOPIC")),
            ("/pub?topic=\(topic)&defer=x", "x", Self.failure(400, "INVALID_DEFER")),
            ("/pub?topic=\(topic)&defer=-1", "x", Self.failure(400, "INVALID_DEFER")),
            ("/pub?topic=\(topic)&defer=3600001", "x", Self.failure(400, "INVALID_DEFER")),
        ]
        for (target, body, failure) in cases {
            #expect(try nsqd.post(target, body).summary == failure, "\(target)")
        }
        // The request with an invalid delay has created the topic, but no message.
        #expect(try nsqd.topic(topic)?["message_count"] as? Int == 0)
        #expect(
            try nsqd.post("/pub?topic=\(topic)", String(tooBig.dropLast())).body == "OK")
        await nsqd.stop()
    }

    @Test func `publishes each line of a text batch as a message`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        for body in ["a\nb\n\n\nc", "d\r\n", "", "\n\n"] {
            #expect(try nsqd.post("/mpub?topic=\(topic)", body).body == "OK")
        }
        let counted = try nsqd.topic(topic)
        #expect(counted?["message_count"] as? Int == 4)
        // The carriage return is part of the message.
        #expect(counted?["message_bytes"] as? Int == 5)
        await nsqd.stop()
    }

    @Test func `publishes the messages of a binary batch`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let batch = Self.batch(["one", "two\nthree"])
        for binary in ["true", "1", "yes", ""] {
            let response = try nsqd.request("POST", "/mpub?topic=\(topic)&binary=\(binary)", batch)
            #expect(response.body == "OK", "binary=\(binary)")
        }
        #expect(try nsqd.topic(topic)?["message_count"] as? Int == 8)
        for binary in ["false", "0"] {
            _ = try nsqd.post("/mpub?topic=\(topic)&binary=\(binary)", "one\ntwo")
        }
        #expect(try nsqd.topic(topic)?["message_count"] as? Int == 12)
        await nsqd.stop()
    }

    @Test func `publishes no message of a refused batch`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let good = Self.batch(["one", "two"])
        let tooBig = String(repeating: "x", count: 1_048_577)
        let binary = "/mpub?binary=true&topic=\(topic)"
        let cases: [(target: String, body: [UInt8], failure: String)] = [
            ("/mpub", Array(tooBig.utf8), Self.failure(400, "MISSING_ARG_TOPIC")),
            ("/mpub?topic=a%20b", [], Self.failure(400, "INVALID_TOPIC")),
            ("/mpub?topic=%zz", [], Self.failure(400, "INVALID_REQUEST")),
            ("/mpub?topic=\(topic)", Array("a\n\(tooBig)".utf8), Self.failure(413, "MSG_TOO_BIG")),
            (binary, [], Self.failure(413, "BAD_BODY")),
            (binary, [0, 0, 0, 0], Self.failure(413, "BAD_BODY")),
            (binary, [255, 255, 255, 255], Self.failure(413, "BAD_BODY")),
            (binary, [0, 255, 255, 255], Self.failure(413, "BAD_BODY")),
            (binary, Array(good.dropLast()), Self.failure(413, "BAD_MESSAGE")),
            (binary, Self.batch(["one", ""]), Self.failure(413, "BAD_MESSAGE")),
            (binary, Self.batch(["one", tooBig]), Self.failure(413, "BAD_MESSAGE")),
            (
                "/mpub?topic=a%20b", Array(repeating: 10, count: 5_242_881),
                Self.failure(413, "BODY_TOO_BIG")
            ),
        ]
        for (target, body, failure) in cases {
            #expect(try nsqd.request("POST", target, body).summary == failure, "\(target)")
        }
        #expect(try nsqd.topic(topic)?["message_count"] as? Int == 0)
        await nsqd.stop()
    }

    @Test func `creates the topic of a refused batch`() async throws {
        let nsqd = try await HTTPProbe.start()
        let topic = HTTPProbe.freshName()
        let producer = try RawClient(to: nsqd.tcpAddress)
        producer.tell("MPUB \(topic)", body: "")
        _ = producer.socket.receiveAll()
        #expect(try nsqd.topic(topic)?["message_count"] as? Int == 0)
        await nsqd.stop()
    }

    @Test func `fails with MEMORY_FULL when the memory limit is reached`() async throws {
        let nsqd = try await HTTPProbe.startOwn { $0.core.maxMemoryBytes = 1 << 20 }
        let body = String(repeating: "x", count: 600_000)
        #expect(try nsqd.post("/pub?topic=t", body).body == "OK")
        #expect(try nsqd.post("/pub?topic=t", body).summary == Self.failure(503, "MEMORY_FULL"))
        #expect(try nsqd.post("/mpub?topic=t", body).summary == Self.failure(503, "MEMORY_FULL"))
        #expect(try nsqd.topic("t")?["message_count"] as? Int == 1)
        await nsqd.stop()
    }

    private static func batch(_ messages: [String]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(messages.count))
        for message in messages {
            bytes.append(bigEndian: Int32(message.utf8.count))
            bytes += message.utf8
        }
        return bytes
    }
}
