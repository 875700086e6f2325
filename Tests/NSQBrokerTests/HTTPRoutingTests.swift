import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

/// NSQ documentation, “nsqd”, HTTP API: paths, methods and headers.
@Suite(.blocking) struct `The HTTP router` {
    @Test func `responds to a ping with OK and without NSQ's header`() async throws {
        let nsqd = try await HTTPProbe.start()
        for target in ["/ping", "/ping?", "/ping?a=%zz"] {
            let response = try nsqd.get(target)
            #expect(response.status == 200)
            #expect(response.body == "OK")
            #expect(response.headers["x-nsq-content-type"] == nil)
            #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
        }
        await nsqd.stop()
    }

    @Test func `lists the methods of a path and refuses other methods`() async throws {
        let nsqd = try await HTTPProbe.start()
        let allowed = [
            "/ping": "GET, OPTIONS", "/info": "GET, OPTIONS", "/stats": "GET, OPTIONS",
            "/pub": "OPTIONS, POST", "/mpub": "OPTIONS, POST", "/topic/create": "OPTIONS, POST",
            "/channel/unpause": "OPTIONS, POST", "/config/log_level": "GET, OPTIONS, PUT",
        ]
        for (path, allow) in allowed {
            let options = try nsqd.request("OPTIONS", path)
            #expect(options.status == 200)
            #expect(options.headers["allow"] == allow)
            #expect(options.body.isEmpty)
            let refusal = try nsqd.request("DELETE", path)
            #expect(refusal.summary == #"405 {"message":"METHOD_NOT_ALLOWED"}"#)
            #expect(refusal.headers["allow"] == allow)
            let head = try nsqd.request("HEAD", path)
            #expect(head.status == 405)
            #expect(head.body.isEmpty)
        }
        await nsqd.stop()
    }

    @Test(arguments: ["/", "/nope", "/topic", "/topic/", "/config", "/config/", "/config/a/b"])
    func `responds 404 to an unknown path`(path: String) async throws {
        let nsqd = try await HTTPProbe.start()
        for method in ["GET", "POST", "OPTIONS"] {
            let response = try nsqd.request(method, path)
            #expect(response.summary == #"404 {"message":"NOT_FOUND"}"#)
            #expect(response.headers["content-type"] == "application/json; charset=utf-8")
            #expect(response.headers["x-nsq-content-type"] == "nsq; version=1.0")
        }
        await nsqd.stop()
    }

    @Test(arguments: [
        ("GET", "/ping/", "/ping"), ("GET", "//ping", "/ping"), ("GET", "/PING?a=b", "/ping?a=b"),
        ("POST", "/Pub/", "/pub"), ("POST", "/topic/./create", "/topic/create"),
        ("GET", "/x/../stats", "/stats"), ("GET", "/CONFIG/Name", "/config/Name"),
        ("PUT", "/config/log_level/", "/config/log_level"),
    ])
    func `redirects a misspelled path to the correct one`(
        method: String, path: String, location: String
    ) async throws {
        let nsqd = try await HTTPProbe.start()
        let response = try nsqd.request(method, path)
        #expect(response.status == (method == "GET" ? 301 : 307))
        #expect(response.headers["location"] == location)
        #expect(response.body.contains(location) == (method == "GET"))
        await nsqd.stop()
    }

    @Test func `returns the broker's addresses and version from /info`() async throws {
        let nsqd = try await HTTPProbe.start()
        let info = try nsqd.get("/info")
        let json = try info.json()
        #expect(info.status == 200)
        #expect(info.headers["content-type"] == "application/json; charset=utf-8")
        #expect(json["version"] as? String == "1.3.0")
        #expect(json["tcp_port"] as? Int == nsqd.tcpAddress.port)
        #expect(json["http_port"] as? Int == nsqd.httpAddress.port)
        #expect(json["max_heartbeat_interval"] as? Int == 60_000_000_000)
        #expect(json["max_output_buffer_size"] as? Int == 65_536)
        #expect(json["max_output_buffer_timeout"] as? Int == 30_000_000_000)
        #expect(json["max_deflate_level"] as? Int == 6)
        #expect((json["hostname"] as? String)?.isEmpty == false)
        #expect((json["broadcast_address"] as? String)?.isEmpty == false)
        #expect((json["start_time"] as? Int ?? 0) > 1_600_000_000)
        let order = [
            "version", "broadcast_address", "hostname", "http_port", "tcp_port", "start_time",
            "max_heartbeat_interval", "max_output_buffer_size", "max_output_buffer_timeout",
            "max_deflate_level",
        ]
        #expect(info.body.keys.starts(with: order))
        await nsqd.stop()
    }
}

@Suite(.blocking) struct `The version of tally` {
    @Test func `is in /info beside nsqd's version`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        let info = try nsqd.get("/info").json()
        #expect(info["tally_version"] as? String == TallyVersion.current)
        #expect(info["version"] as? String == "1.3.0")
        await nsqd.stop()
    }
}

extension String {
    /// Returns the member names of a JSON text in their order.
    var keys: [String] {
        split(separator: "\":").dropLast().map { part in
            String(part.split(separator: "\"").last ?? "")
        }
    }
}
