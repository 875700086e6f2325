import ArgumentParser
import BrokerCore
import Foundation
import GoFlags
import NSQBroker
import NSQWire
import TestKit
import Testing
import UVLoop

@testable import tally

@Suite struct `The configuration file of serve and process` {
    private let folder: TemporaryFolder
    private var path: String { folder.path("tally.toml") }

    init() throws { folder = try TemporaryFolder() }

    private func command<Command: ParsableCommand>(
        _ type: Command.Type, _ text: String, _ words: [String] = []
    ) throws -> Command {
        try Data(text.utf8).write(to: URL(filePath: path))
        let name = type.configuration.commandName ?? ""
        return try #require(
            try Tally.parsed([name, "--config=\(path)"] + words) as? Command)
    }

    @Test func `has the options' names with _ or -, in their types`() throws {
        let process = try command(
            ProcessCommand.self,
            """
            nsqd-tcp-address = ["127.0.0.1:4150", "127.0.0.1:5150"]
            topic = "likes"
            max_in_flight = 7
            freshness = "5s"
            nsqd_tls = true
            nsqd_tls_insecure_skip_verify = false
            publish_to = ["stdout", "http://127.0.0.1:1/"]
            log_level = "error"
            """)
        #expect(process.nsqds.map(\.port) == [4150, 5150])
        #expect(process.options.topic.text == "likes")
        #expect(process.options.maxInFlight == 7)
        #expect(process.options.freshness.duration == .seconds(5))
        #expect(process.connection.nsqdTls && !process.connection.nsqdTlsInsecureSkipVerify)
        #expect(process.options.publishing.publishToTexts == ["stdout", "http://127.0.0.1:1/"])
        #expect(process.log.logLevel == .error)
    }

    @Test(arguments: [["--max-in-flight=9"], ["--max-in-flight", "9"]])
    func `is overridden by the command line`(words: [String]) throws {
        let process = try command(
            ProcessCommand.self,
            """
            nsqd_tcp_address = ["127.0.0.1:1", "127.0.0.1:2"]
            max_in_flight = 7
            videos_per_call = 3
            """, words + ["--nsqd-tcp-address=127.0.0.1:9"])
        #expect(process.options.maxInFlight == 9)
        #expect(process.options.videosPerCall == 3)
        #expect(process.nsqds.map(\.port) == [9])
    }

    @Test func `of serve has the broker's keys, too`() throws {
        let serve = try command(
            ServeCommand.self,
            """
            store = "x.sqlite"
            mem_queue_size = 5
            msg_timeout = 1500
            nsqlookupd_tcp_addresses = ["a:1"]
            auth-http-address = ["b:1"]
            max_msg_size = 7
            http_address = "127.0.0.1:4151"
            """, ["--max-msg-size=8"])
        #expect(serve.counting.store == "x.sqlite")
        let flags = try serve.parsedFlags()
        #expect(flags.values.core.memoryQueueSize == 5)
        #expect(flags.values.core.messageTimeout == .milliseconds(1500))
        #expect(flags.values.lookup.tcpAddresses == ["a:1"])
        #expect(flags.values.auth.httpAddresses == ["b:1"])
        #expect(flags.values.core.maxMessageBytes == 8)
        // An address that the file names is required: the start fails if it is in use.
        #expect(!flags.values.addresses.optional.contains("127.0.0.1:4151"))
    }

    @Test(arguments: [
        ("max_inflight = 1", "max_inflight: unknown key (did you mean max_in_flight?)"),
        ("config = 'x'", "config: unknown key"), ("[process]\na = 1", "process: unknown key"),
        ("mem_queue_size = 1", "mem_queue_size: unknown key"),
        ("max_in_flight = 'many'", "max_in_flight: not an integer"),
        ("max_in_flight = '5'", "max_in_flight: not an integer"),
        ("max_in_flight = true", "max_in_flight: not an integer"),
        ("max_in_flight = 1.5", "max_in_flight: not an integer"),
        ("max_in_flight = [1]", "max_in_flight: not an integer"),
        ("store = 5", "store: not a text"), ("store = 2026-01-01", "store: not a text"),
        ("freshness = 60", "freshness: not a text"), ("freshness = '60'", "use 60s"),
        ("freshness = '1ms'", "freshness: --freshness must be at least 1s, not 1ms"),
        ("nsqd_tls = 1", "nsqd_tls: not true or false"),
        ("publish_to = 'stdout'", "publish_to: not an array"),
        ("publish_to = ['ftp://u:hidden@host']", "publish_to: "),
        ("store = 'a'\nstore = 'b'", "line 2"),
        ("page-host = ['a']\npage_host = ['b']", "page_host: duplicate key"),
    ])
    func `is refused with its name and the key`(text: String, reason: String) throws {
        let error = #expect(throws: (any Error).self) {
            try command(ProcessCommand.self, text, ["--nsqd-tcp-address=127.0.0.1:1"])
        }
        let message = Tally.message(for: try #require(error))
        #expect(message.contains(path) && message.contains(reason), "\(message)")
        #expect(!message.contains("hidden"))
    }

    @Test(arguments: [
        ("max_msg_sizes = 1", "unknown key (did you mean max_msg_size?)"),
        ("max_msg_size = [1]", "max_msg_size = [1]: not an integer"),
        ("max_in_flite = 1", "unknown key (did you mean max_in_flight?)"),
    ])
    func `of serve is refused with its name and the broker's key`(
        text: String, reason: String
    ) throws {
        let error = #expect(throws: (any Error).self) { try command(ServeCommand.self, text) }
        let message = Tally.message(for: try #require(error))
        #expect(message.contains(path) && message.contains(reason), "\(message)")
    }

    @Test func `does not change an error of the command line`() throws {
        let error = #expect(throws: (any Error).self) {
            try command(
                ProcessCommand.self, "max_in_flight = 5",
                ["--nsqd-tcp-address=127.0.0.1:1", "--nope"])
        }
        #expect(!Tally.message(for: try #require(error)).contains(path))
    }
}
