import TestKit
import TestTraits
import Testing
import UVLoop

/// NSQ documentation, “nsqd”, HTTP API: `/config/…`.
@Suite(.blocking, .serialized) struct `Options over HTTP` {
    private static let invalidOption = #"400 {"message":"INVALID_OPTION"}"#
    private static let invalidValue = #"400 {"message":"INVALID_VALUE"}"#

    @Test func `are returned as JSON, and strings as plain text`() async throws {
        let nsqd = try await HTTPProbe.start()
        let values = [
            "max_msg_size": "1048576", "max_body_size": "5242880", "max_rdy_count": "2500",
            "msg_timeout": "60000000000", "max_msg_timeout": "900000000000",
            "max_req_timeout": "3600000000000", "mem_queue_size": "10000",
            "output_buffer_timeout": "250000000", "max_channel_consumers": "0",
            "broadcast_tcp_port": "\(nsqd.tcpAddress.port)",
        ]
        for (name, value) in values {
            let response = try nsqd.get("/config/\(name)")
            #expect(response.body == value, "\(name)")
            #expect(response.headers["content-type"] == "application/json; charset=utf-8")
        }
        let address = try nsqd.get("/config/tcp_address")
        // Our broker returns the address that it is bound to. nsqd returns the value of its flag.
        #expect(
            address.body == (HTTPProbe.isForeign ? "127.0.0.1:0" : "\(nsqd.tcpAddress)"))
        #expect(address.headers["content-type"] == "text/plain; charset=utf-8")
        for name in ["nope", "LOG_LEVEL", "config", "version"] {
            #expect(try nsqd.get("/config/\(name)").summary == Self.invalidOption)
        }
        await nsqd.stop()
    }

    @Test func `change the log level at run time`() async throws {
        let nsqd = try await HTTPProbe.start()
        let levels = ["debug": "1", "INFO": "2", "Warn": "3", "error": "4", "fatal": "5"]
        for (name, number) in levels {
            #expect(try nsqd.request("PUT", "/config/log_level", Array(name.utf8)).body == number)
            #expect(try nsqd.get("/config/log_level").body == number)
        }
        for bad in ["2", "verbose", "info\n"] {
            let response = try nsqd.request("PUT", "/config/log_level", Array(bad.utf8))
            #expect(response.summary == Self.invalidValue)
        }
        _ = try nsqd.request("PUT", "/config/log_level", Array("info".utf8))
        await nsqd.stop()
    }

    @Test func `change the nsqlookupd addresses at run time`() async throws {
        let nsqd = try await HTTPProbe.start()
        let path = "/config/nsqlookupd_tcp_addresses"
        let addresses = #"["127.0.0.1:1","127.0.0.1:2"]"#
        #expect(try nsqd.request("PUT", path, Array(addresses.utf8)).body == addresses)
        #expect(try nsqd.get(path).body == addresses)
        for bad in ["x", "{}", "[1]", "\"a\""] {
            #expect(try nsqd.request("PUT", path, Array(bad.utf8)).summary == Self.invalidValue)
        }
        #expect(try nsqd.request("PUT", path, Array("[]".utf8)).body == "[]")
        await nsqd.stop()
    }

    @Test func `reject changes of all other options`() async throws {
        let nsqd = try await HTTPProbe.start()
        let tooBig = #"413 {"message":"INVALID_VALUE"}"#
        for name in ["max_msg_size", "nope"] {
            #expect(
                try nsqd.request("PUT", "/config/\(name)", Array("5".utf8)).summary
                    == Self.invalidOption)
            // An empty value is refused before the name is checked.
            #expect(try nsqd.request("PUT", "/config/\(name)").summary == tooBig)
            let long = Array(repeating: UInt8(ascii: "5"), count: 1_048_577)
            #expect(try nsqd.request("PUT", "/config/\(name)", long).summary == tooBig)
        }
        await nsqd.stop()
    }
}
