import BrokerCore
import GoFlags
import NSQBroker
import Testing
import Transport

@testable import tally

/// NSQ documentation, “nsqd”: `--config`.
@Suite struct `The configuration file` {
    private func options(
        _ text: String, given: Set<String> = [], over defaults: ServerOptions = ServerOptions()
    ) throws -> ServerOptions {
        var options = defaults
        _ = try ConfigFile(path: "x.cfg", text: text).apply(
            ServerOption.all, to: &options, except: given)
        return options
    }

    private func reason(_ text: String) -> String? {
        do throws(SetupError) {
            var options = ServerOptions()
            _ = try ConfigFile(path: "x.cfg", text: text).apply(
                ServerOption.all, to: &options, except: [])
        } catch {
            return error.description
        }
        return nil
    }

    @Test func `accepts nsqd's option names`() throws {
        let options = try options(
            """
            # a comment
            log_level = "WARN"
            id = 12
            tcp_address = "0.0.0.0:5150"
            nsqlookupd_tcp_addresses = ["a:4160", "b:4160"]
            auth_http_addresses = "c:1,d:2"
            max_msg_size = 1024768
            sync_timeout = "2s"
            msg_timeout = 1500
            statsd_mem_stats = false
            e2e_processing_latency_percentiles = [0.95, 1, 0.99]
            tls_required = "tcp-https"
            tls_min_version = ""
            snappy = false
            deflate = 1
            max_body_size = "5000000"
            """)
        #expect(options.log.level == .warn)
        #expect(options.nodeID == 12)
        #expect(options.addresses.tcp == "0.0.0.0:5150")
        #expect(options.lookup.tcpAddresses == ["a:4160", "b:4160"])
        #expect(options.auth.httpAddresses == ["c:1", "d:2"])
        #expect(options.core.maxMessageBytes == 1_024_768)
        #expect(options.disk.syncTimeout == .seconds(2))
        #expect(options.core.messageTimeout == .milliseconds(1500))
        #expect(!options.statsd.sendsMemory)
        #expect(options.latency.percentiles == [1, 0.99, 0.95])
        #expect(options.tls.requirement == .exceptHTTP)
        #expect(options.tls.minVersion == .tls10)
        #expect(!options.core.snappyEnabled)
        #expect(options.core.deflateEnabled)
        #expect(options.core.maxBodyBytes == 5_000_000)
    }

    @Test func `has precedence over defaults but not over flags`() throws {
        let flags = FlagSet(name: "nsqd")
        let parsed = try flags.parse(
            ["-max-rdy-count=7", "-lookupd-tcp-address=flag:1"], over: ServerOptions())
        let options = try options(
            """
            max_rdy_count = 8
            nsqlookupd_tcp_addresses = ["file:1", "file:2"]
            msg_timeout = "9s"
            """, given: parsed.given, over: parsed.values)
        #expect(options.core.maxReadyCount == 7)
        #expect(options.lookup.tcpAddresses == ["flag:1"])
        #expect(options.core.messageTimeout == .seconds(9))
        #expect(options.core.maxMessageTimeout == .seconds(900))
    }

    @Test func `may contain unknown names, which are reported`() throws {
        var options = ServerOptions()
        let file = try ConfigFile(
            path: "x.cfg", text: "nope = 1\nnode_id = 5\nversion = true\n[part]\nmax_msg_size = 3")
        #expect(
            try file.apply(ServerOption.all, to: &options, except: []) == [
                "node_id", "nope", "part", "version",
            ])
        #expect(options.core.maxMessageBytes == 1_048_576)
    }

    @Test(arguments: [
        ("max_msg_size = \"abc\"", "max_msg_size = \"abc\": parse error"),
        ("max_msg_size = 1.5", "max_msg_size = 1.5: not an integer"),
        ("max_msg_size = true", "max_msg_size = true: not an integer"),
        ("msg_timeout = \"60\"", "msg_timeout = \"60\": parse error"),
        ("msg_timeout = 1.5", "msg_timeout = 1.5: not a duration like \"60s\""),
        ("snappy = \"perhaps\"", "snappy = \"perhaps\": parse error"),
        ("snappy = 2", "snappy = 2: not true or false"),
        ("http_address = 5", "http_address = 5: not a text"),
        ("log_level = 3", "log_level = 3: not a log level"),
        ("tls_required = \"maybe\"", "tls_required = \"maybe\": parse error"),
        ("nsqlookupd_tcp_addresses = [1]", "[1]: not a list of texts"),
        ("e2e_processing_latency_percentiles = [\"x\"]", "[\"x\"]: not a list of numbers"),
        ("max_msg_size = 1979-05-27", "max_msg_size = "),
        ("ok = 1\nbroken = [", "line 2"),
    ])
    func `is refused if a value is invalid, with the name of the option`(
        text: String, reason: String
    ) {
        let said = self.reason(text) ?? ""
        #expect(said.hasPrefix("failed to load config file x.cfg - "))
        #expect(said.contains(reason), "\(said)")
    }

    @Test func `is refused if it cannot be read, with its path`() {
        for (path, reason) in [("/no/such.cfg", "No such file"), ("/tmp", "Is a directory")] {
            #expect {
                _ = try ConfigFile(path: path)
            } throws: { error in
                "\(error)".hasPrefix("failed to load config file \(path) - \(reason)")
            }
        }
    }
}
