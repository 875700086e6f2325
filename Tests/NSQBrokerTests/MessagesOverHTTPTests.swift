import TestKit
import TestTraits
import Testing

/// `/topic/messages`, `/channel/messages` and `/message/…`, which nsqd does not have.
@Suite(.blocking) struct `Messages over HTTP` {
    private static func failure(_ status: Int, _ code: String) -> String {
        "\(status) {\"message\":\"\(code)\"}"
    }

    /// A broker with a channel `c` of the topic `t` that has the messages.
    private func broker(_ bodies: String...) async throws -> HTTPProbe {
        let nsqd = try await HTTPProbe.startOwn()
        _ = try nsqd.post("/topic/create?topic=t")
        _ = try nsqd.post("/channel/create?topic=t&channel=c")
        for body in bodies { _ = try nsqd.post("/pub?topic=t", body) }
        return nsqd
    }

    private func messages(
        _ nsqd: HTTPProbe, _ arguments: String = ""
    ) throws -> [[String: Any]] {
        let page = try nsqd.get("/channel/messages?topic=t&channel=c\(arguments)").json()
        return page["messages"] as? [[String: Any]] ?? []
    }

    private func bodies(_ nsqd: HTTPProbe, _ arguments: String = "") throws -> [String] {
        try messages(nsqd, arguments).compactMap { $0["body"] as? String }
    }

    /// Waits until an operation has ended.
    private func ended(_ nsqd: HTTPProbe, _ number: Any?) async throws -> [String: Any] {
        var operation: [String: Any] = [:]
        let hasEnded = try eventually {
            let list = try nsqd.get("/channel/messages/operations").json()
            let operations = list["operations"] as? [[String: Any]] ?? []
            operation = operations.first { $0["operation"] as? Int == number as? Int } ?? [:]
            return ![nil, "running"].contains(operation["state"] as? String)
        }
        #expect(hasEnded, "the operation does not end")
        return operation
    }

    @Test func `are shown as text, JSON or hex digits, and cut`() async throws {
        let nsqd = try await broker("text", #"{"video":7}"#)
        _ = try nsqd.request("POST", "/pub?topic=t", [0xff, 0x00])
        _ = try nsqd.post("/pub?topic=t", "äöü and more")
        let shown = try messages(nsqd)
        #expect(shown.map { $0["body_format"] as? String } == ["text", "json", "hex", "text"])
        #expect(
            shown.map { $0["body"] as? String }
                == ["text", #"{"video":7}"#, "ff00", "äöü and more"])
        #expect(shown.allSatisfy { $0["body_cut"] as? Bool == false })
        #expect(shown.allSatisfy { $0["state"] as? String == "ready" })
        #expect(shown.allSatisfy { $0["attempts"] as? Int == 0 })
        // A cut within a character leaves the character out.
        let cut = try messages(nsqd, "&body_bytes=3")[3]
        #expect(cut["body"] as? String == "ä")
        #expect(cut["body_cut"] as? Bool == true)
        #expect(cut["body_bytes"] as? Int == 15)
        #expect(try bodies(nsqd, "&format=hex&limit=1") == ["74657874"])
        #expect(try bodies(nsqd, "&format=text")[2].hasPrefix("\u{fffd}"))
        await nsqd.stop()
    }

    @Test func `are shown by page, ID, state, text, attempts and age`() async throws {
        let nsqd = try await broker("one", "two", "three")
        let first = try nsqd.get("/channel/messages?topic=t&channel=c&limit=2").json()
        let next = try #require(first["next"] as? String)
        #expect(try bodies(nsqd, "&after=\(next)") == ["three"])
        #expect(try bodies(nsqd, "&id=\(next)") == ["two"])
        #expect(try bodies(nsqd, "&contains=t") == ["two", "three"])
        #expect(try bodies(nsqd, "&state=deferred,in_flight") == [])
        #expect(try bodies(nsqd, "&min_attempts=1") == [])
        #expect(try bodies(nsqd, "&min_age_ms=3600000") == [])
        #expect(try nsqd.get("/topic/messages?topic=t").json()["messages"] as? [String] == [])
        await nsqd.stop()
    }

    @Test func `in flight are shown with the client and the time left`() async throws {
        let nsqd = try await broker("one")
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("IDENTIFY", body: #"{"client_id":"worker","msg_timeout":60000}"#)
        consumer.ask("SUB t c")
        consumer.tell("RDY 1")
        let id = consumer.message().id
        let message = try messages(nsqd)[0]
        #expect(message["id"] as? String == id)
        #expect(message["state"] as? String == "in_flight")
        #expect(message["attempts"] as? Int == 1)
        #expect((message["client"] as? [String: Any])?["client_id"] as? String == "worker")
        let timeLeft = message["time_left_ms"] as? Int ?? 0
        #expect((1...60_000).contains(timeLeft))
        consumer.tell("REQ \(id) 60000")
        #expect(try eventually { try messages(nsqd)[0]["state"] as? String == "deferred" })
        #expect(try messages(nsqd)[0]["due"] as? Int != nil)
        await nsqd.stop()
    }

    @Test func `are deleted, requeued, deferred and moved one at a time`() async throws {
        let nsqd = try await broker("one", "two", "three")
        let ids = try messages(nsqd).compactMap { $0["id"] as? String }
        func did(_ change: String, _ id: String, _ arguments: String = "") throws -> String {
            let response = try nsqd.post(
                "/message/\(change)?topic=t&channel=c&id=\(id)&attempts=0\(arguments)")
            return response.summary
        }
        #expect(try did("delete", ids[0]) == "200 ")
        #expect(try did("delete", ids[0]) == Self.failure(404, "MESSAGE_NOT_FOUND"))
        #expect(try did("defer", ids[1], "&defer=60000") == "200 ")
        #expect(try bodies(nsqd, "&state=deferred") == ["two"])
        #expect(try did("requeue", ids[1]) == "200 ")
        #expect(try bodies(nsqd, "&state=deferred") == [])
        #expect(try did("move", ids[2], "&to=other") == "200 ")
        let other = try nsqd.get("/topic/messages?topic=other").json()
        #expect((other["messages"] as? [[String: Any]])?.first?["body"] as? String == "three")
        #expect(try bodies(nsqd) == ["two"])
        let stale = try nsqd.post("/message/delete?topic=t&channel=c&id=\(ids[1])&attempts=3")
        #expect(stale.summary == Self.failure(409, "ATTEMPTS_DIFFER"))
        #expect(try did("move", ids[1], "&to=t") == Self.failure(400, "SAME_TOPIC"))
        await nsqd.stop()
    }

    @Test func `are changed by a filter in the background, after a preview`() async throws {
        let nsqd = try await broker("one", "two", "three", "four")
        func start(_ arguments: String) async throws -> [String: Any] {
            let operation = try nsqd.post("/channel/messages/\(arguments)").json()
            return try await ended(nsqd, operation["operation"])
        }
        let place = "topic=t&channel=c&contains=o"
        let preview = try await start("delete?\(place)&preview=true")
        #expect(preview["action"] as? String == "count")
        #expect(preview["state"] as? String == "finished")
        #expect(preview["selected"] as? Int == 3)
        #expect(preview["changed"] as? Int == 0)
        let deferral = try await start("defer?\(place)&defer=60000")
        #expect(deferral["changed"] as? Int == 3)
        let requeue = try await start("requeue?topic=t&channel=c&state=deferred")
        #expect(requeue["changed"] as? Int == 3)
        let move = try await start("move?\(place)&to=other")
        #expect(move["changed"] as? Int == 3)
        #expect(move["messages"] as? Int == 4)
        let deletion = try await start("delete?topic=t&channel=c")
        #expect(deletion["changed"] as? Int == 1)
        #expect(try bodies(nsqd) == [])
        let cancelled = try nsqd.post(
            "/channel/messages/cancel?operation=\(deletion["operation"]!)")
        #expect(cancelled.status == 200)
        #expect(
            try nsqd.post("/channel/messages/cancel?operation=99").summary
                == Self.failure(404, "OPERATION_NOT_FOUND"))
        await nsqd.stop()
    }

    @Test(arguments: [
        ("channel/messages?channel=c", 400, "MISSING_ARG_TOPIC"),
        ("channel/messages?topic=%23&channel=c", 400, "INVALID_ARG_TOPIC"),
        ("topic/messages?topic=%23", 400, "INVALID_TOPIC"),
        ("channel/messages?topic=t", 400, "MISSING_ARG_CHANNEL"),
        ("channel/messages?topic=t&channel=%23", 400, "INVALID_ARG_CHANNEL"),
        ("channel/messages?topic=x&channel=c", 404, "TOPIC_NOT_FOUND"),
        ("channel/messages?topic=t&channel=x", 404, "CHANNEL_NOT_FOUND"),
        ("channel/messages?topic=t&channel=c&limit=0", 400, "INVALID_ARG_LIMIT"),
        ("channel/messages?topic=t&channel=c&limit=1001", 400, "INVALID_ARG_LIMIT"),
        ("channel/messages?topic=t&channel=c&limit=1.5", 400, "INVALID_ARG_LIMIT"),
        ("channel/messages?topic=t&channel=c&body_bytes=-1", 400, "INVALID_ARG_BODY_BYTES"),
        ("channel/messages?topic=t&channel=c&body_bytes=1048577", 400, "INVALID_ARG_BODY_BYTES"),
        ("channel/messages?topic=t&channel=c&format=xml", 400, "INVALID_ARG_FORMAT"),
        ("channel/messages?topic=t&channel=c&state=lost", 400, "INVALID_ARG_STATE"),
        ("channel/messages?topic=t&channel=c&state=", 400, "INVALID_ARG_STATE"),
        ("channel/messages?topic=t&channel=c&contains=", 400, "INVALID_ARG_CONTAINS"),
        ("channel/messages?topic=t&channel=c&min_attempts=65536", 400, "INVALID_ARG_MIN_ATTEMPTS"),
        ("channel/messages?topic=t&channel=c&min_age_ms=x", 400, "INVALID_ARG_MIN_AGE_MS"),
        (
            "channel/messages?topic=t&channel=c&min_age_ms=99999999999999999999", 400,
            "INVALID_ARG_MIN_AGE_MS"
        ),
        ("channel/messages?topic=t&channel=c&after=12", 400, "INVALID_ARG_AFTER"),
        ("channel/messages?topic=t&channel=c&id=zzzzzzzzzzzzzzzz", 400, "INVALID_ARG_ID"),
        ("channel/messages?topic=t&channel=c&id=0000000000000000", 404, "MESSAGE_NOT_FOUND"),
    ])
    func `are not shown for wrong arguments`(
        target: String, status: Int, code: String
    ) async throws {
        let nsqd = try await broker("one")
        #expect(try nsqd.get("/\(target)").summary == Self.failure(status, code))
        await nsqd.stop()
    }

    @Test(arguments: [
        ("message/delete?topic=t&channel=c&attempts=0", "MISSING_ARG_ID"),
        ("message/delete?topic=t&channel=c&id=0000000000000000", "MISSING_ARG_ATTEMPTS"),
        (
            "message/delete?topic=t&channel=c&id=0000000000000000&attempts=-1",
            "INVALID_ARG_ATTEMPTS"
        ),
        ("message/defer?topic=t&channel=c&id=0000000000000000&attempts=0", "MISSING_ARG_DEFER"),
        (
            "message/defer?topic=t&channel=c&id=0000000000000000&attempts=0&defer=3600001",
            "INVALID_DEFER"
        ),
        ("message/move?topic=t&channel=c&id=0000000000000000&attempts=0", "MISSING_ARG_TO"),
        ("message/move?topic=t&channel=c&id=0000000000000000&attempts=0&to=%23", "INVALID_ARG_TO"),
        ("channel/messages/delete?topic=t&channel=c&preview=maybe", "INVALID_ARG_PREVIEW"),
        // An argument of the other kind of request would not limit the change.
        (
            "message/delete?topic=t&channel=c&id=0000000000000000&attempts=0&preview=true",
            "INVALID_ARG_PREVIEW"
        ),
        ("channel/messages/delete?topic=t&channel=c&id=0000000000000000", "INVALID_ARG_ID"),
        ("channel/messages/delete?topic=t&channel=c&attempts=1", "INVALID_ARG_ATTEMPTS"),
        ("channel/messages/delete?topic=t&channel=c&state=lost", "INVALID_ARG_STATE"),
        ("channel/messages/cancel", "MISSING_ARG_OPERATION"),
        ("channel/messages/cancel?operation=0", "INVALID_ARG_OPERATION"),
    ])
    func `are not changed for wrong arguments`(target: String, code: String) async throws {
        let nsqd = try await broker("one")
        #expect(try nsqd.post("/\(target)").summary == Self.failure(400, code))
        #expect(try bodies(nsqd) == ["one"])
        await nsqd.stop()
    }
}
